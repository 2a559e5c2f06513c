"""How the training rows come to differ from the rows met in use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Shifted:
    """Which rows stay, as indices into the clean ones, and what labels they get."""

    kept: Tensor
    labels: Tensor


class Shift(Protocol):
    """A change of the joint distribution of the training rows."""

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Shift clean ``labels``: [n], int64 in [0, classes); ``groups``: [n], int64, or None."""
        ...


@dataclass(frozen=True)
class NoShift:
    """Training rows as they are."""

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Every row, unchanged."""
        return Shifted(torch.arange(len(labels)), labels)


@dataclass(frozen=True)
class SymmetricNoise:
    """With probability ``rate`` a label becomes any of the other classes, each as likely."""

    rate: float

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Every row, some labels moved by 1 to classes - 1."""
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        offset = torch.randint(1, classes, (len(labels),), generator=generator)
        return Shifted(torch.arange(len(labels)), (labels + flipped * offset) % classes)


@dataclass(frozen=True)
class PairNoise:
    """With probability ``rate`` a label becomes the next class: the hardest kind near 0.5."""

    rate: float

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Every row, some labels moved by 1."""
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        return Shifted(torch.arange(len(labels)), (labels + flipped) % classes)


@dataclass(frozen=True)
class ClassPrior:
    """Step imbalance: the upper half of the classes keeps one row in ``ratio``.

    Source: Buda, Maki, Mazurowski, "A systematic study of the class imbalance problem in
    convolutional neural networks", 2018.
    """

    ratio: float

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Fewer rows, labels unchanged; a class that had rows keeps at least one."""
        order = torch.randperm(len(labels), generator=generator)
        kept = []
        for label in range(classes):
            rows = order[labels[order] == label]
            minority = label >= (classes + 1) // 2
            kept.append(rows[: max(1, round(len(rows) / self.ratio))] if minority else rows)
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

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """Fewer rows, labels unchanged."""
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
class InTurn:
    """Several shifts, each applied to what the one before it left."""

    shifts: tuple[Shift, ...]

    def apply(
        self, labels: Tensor, groups: Tensor | None, classes: int, generator: torch.Generator
    ) -> Shifted:
        """What all of them leave."""
        kept = torch.arange(len(labels))
        for shift in self.shifts:
            shifted = shift.apply(labels, groups, classes, generator)
            kept, labels = kept[shifted.kept], shifted.labels
            groups = None if groups is None else groups[shifted.kept]
        return Shifted(kept, labels)


# What a user writes before the colon: the shift, and the numbers that it takes.
_RATES: dict[str, Callable[[float], Shift]] = {"symmetric": SymmetricNoise, "pair": PairNoise}
_RATIOS: dict[str, Callable[[float], Shift]] = {
    "class-prior": ClassPrior,
    "group-prior": GroupPrior,
}


def parse_shift(text: str) -> Shift:
    """The shift written as ``none`` or as one or more of these, joined by ``+``.

    ``symmetric:R``, ``pair:R`` with R, the rate of wrong labels, in [0, 1); ``class-prior:RHO``
    with RHO, the ratio of class sizes, at least 1 and finite; ``group-prior:RHO`` with RHO at
    least 1, or ``inf``.
    """
    if text == "none":
        return NoShift()
    parts = tuple(_parse_one(part) for part in text.split("+"))
    return parts[0] if len(parts) == 1 else InTurn(parts)


def _parse_one(text: str) -> Shift:
    kind, _, number = text.partition(":")
    if kind not in {**_RATES, **_RATIOS}:
        raise UserError(
            f"unknown shift '{text}': write none, symmetric:R, pair:R, class-prior:RHO or "
            "group-prior:RHO, for example pair:0.45, or several joined by +"
        )
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"shift '{text}' needs a number after the colon, like {kind}:0.4") from None
    if kind in _RATES:
        if not 0 <= value < 1:
            raise UserError(f"noise rate must lie in [0, 1); got {number} in '{text}'")
        return _RATES[kind](value)
    if not value >= 1 or (kind == "class-prior" and value == float("inf")):
        raise UserError(f"{kind} ratio must be at least 1; got {number}")
    return _RATIOS[kind](value)
