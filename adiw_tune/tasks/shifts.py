"""How the training rows come to differ from the rows met in use."""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.label_files import labels_from


@dataclass(frozen=True)
class Training:
    """Training rows before a shift.

    Args:
        data: whose rows they are.
        index: [n], int64: which of ``data.rows``.
        labels: [n, ...]: theirs at present.
    """

    data: Data
    index: Tensor
    labels: Tensor

    @property
    def groups(self) -> Tensor | None:
        """[n], int64, or None."""
        return None if self.data.rows.groups is None else self.data.rows.groups[self.index]

    def after(self, shifted: "Shifted") -> "Training":
        """What a shift has left of them."""
        return replace(self, index=self.index[shifted.kept], labels=shifted.labels)

    def refuse_unless(self, shift: str, *kinds: str) -> None:
        """Refuse targets of another kind: the shift has no meaning for them."""
        if self.data.targets not in kinds:
            raise UserError(
                f"shift {shift} is for targets that are {' or '.join(kinds)}: these are "
                f"{self.data.targets}"
            )


@dataclass(frozen=True)
class Shifted:
    """Which rows stay, as indices into those before the shift, and what labels they get."""

    kept: Tensor
    labels: Tensor


class Shift(Protocol):
    """A change of the joint distribution of the training rows."""

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Shift ``rows``."""
        ...


@dataclass(frozen=True)
class NoShift:
    """Training rows as they are."""

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Every row, unchanged."""
        return Shifted(torch.arange(len(rows.labels)), rows.labels)


@dataclass(frozen=True)
class SymmetricNoise:
    """With probability ``rate`` a label becomes any of the other classes, each as likely.

    Of binary targets each of a row's labels, by itself, becomes the other one.
    """

    rate: float

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Every row, some labels moved by 1 to classes - 1."""
        rows.refuse_unless("symmetric", "classes", "binary")
        labels, classes = rows.labels, rows.data.classes
        if rows.data.targets == "binary":
            flipped = torch.rand(labels.shape, generator=generator) < self.rate
            return Shifted(torch.arange(len(labels)), torch.where(flipped, 1 - labels, labels))
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        offset = torch.randint(1, classes, (len(labels),), generator=generator)
        return Shifted(torch.arange(len(labels)), (labels + flipped * offset) % classes)


@dataclass(frozen=True)
class PairNoise:
    """With probability ``rate`` a label becomes the next class: the hardest kind near 0.5."""

    rate: float

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Every row, some labels moved by 1."""
        rows.refuse_unless("pair", "classes")
        labels, classes = rows.labels, rows.data.classes
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        return Shifted(torch.arange(len(labels)), (labels + flipped) % classes)


@dataclass(frozen=True)
class ClassPrior:
    """Step imbalance: the upper half of the classes keeps one row in ``ratio``.

    Source: Buda, Maki, Mazurowski, "A systematic study of the class imbalance problem in
    convolutional neural networks", 2018.
    """

    ratio: float

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Fewer rows, labels unchanged; a class that had rows keeps at least one."""
        rows.refuse_unless("class-prior", "classes")
        labels, classes = rows.labels, rows.data.classes
        order = torch.randperm(len(labels), generator=generator)
        kept = []
        for label in range(classes):
            of_class = order[labels[order] == label]
            left = max(1, round(len(of_class) / self.ratio))
            kept.append(of_class[:left] if label >= (classes + 1) // 2 else of_class)
        index = torch.cat(kept).sort().values
        return Shifted(index, labels[index])


@dataclass(frozen=True)
class GroupPrior:
    """Covariate shift by a selected attribute: groups other than 0 keep one row in ``ratio``.

    At infinity they keep none: the support of the training rows is smaller than that of the rows
    met in use, and no weights alone can make up for it.

    Source: Fang et al., "Generalizing importance weighting to a universal solver for distribution
    shift problems", NeurIPS 2023, for the shift of the support.
    """

    ratio: float

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Fewer rows, labels unchanged."""
        labels, groups = rows.labels, rows.groups
        if groups is None:
            raise UserError(
                "shift group-prior needs rows in groups: use task color-fashion or adult, or give "
                "your own rows groups"
            )
        order = torch.randperm(len(labels), generator=generator)
        others = order[groups[order] != 0]
        kept = torch.cat(
            [(groups == 0).nonzero().flatten(), others[: round(len(others) / self.ratio)]]
        )
        if not len(kept):
            raise UserError(f"shift group-prior:{self.ratio} keeps no row: none is in group 0")
        index = kept.sort().values
        return Shifted(index, labels[index])


@dataclass(frozen=True)
class GivenLabels:
    """Labels that somebody or something else gave the same rows, in place of the task's own.

    Args:
        file: where they are, as :func:`adiw_tune.tasks.label_files.labels_from`; "" for the task's
            own :attr:`Data.relabelled`.
        column: which of them.
    """

    file: str
    column: str

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """Every row, with those labels."""
        labels = labels_from(self.file, self.column, rows.data) if self.file else self._own(rows)
        return Shifted(torch.arange(len(rows.index)), labels[rows.index])

    def _own(self, rows: Training) -> Tensor:
        known = rows.data.relabelled
        if self.column not in known:
            has = f"it has {', '.join(known)}" if known else "it has none: name a file"
            raise UserError(f"the task has no labels '{self.column}' of its own: {has}")
        return known[self.column]


@dataclass(frozen=True)
class InTurn:
    """Several shifts, each applied to what the one before it left."""

    shifts: tuple[Shift, ...]

    def apply(self, rows: Training, generator: torch.Generator) -> Shifted:
        """What all of them leave."""
        kept = torch.arange(len(rows.labels))
        for shift in self.shifts:
            shifted = shift.apply(rows, generator)
            kept, rows = kept[shifted.kept], rows.after(shifted)
        return Shifted(kept, rows.labels)
