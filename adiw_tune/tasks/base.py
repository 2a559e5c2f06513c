"""What is trained on: data in disjoint roles, and a network that shows its features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.tasks.checks import row_problems
from adiw_tune.tasks.rows import Rows, Split, loaded
from adiw_tune.tasks.shifts import Shift


@dataclass(frozen=True)
class Splits:
    """The roles of the data. The first three are disjoint; ``test`` is the task's own.

    train: shifted, what the network is fitted to.
    reference: clean, what weights are estimated against; few enough rows to stay in memory.
    select: clean, what a search maximises accuracy on.
    test: clean, read only to report.
    classes: number of classes.
    """

    train: Rows
    reference: Split
    select: Rows
    test: Rows
    classes: int

    def to(self, device: torch.device) -> "Splits":
        """The same splits on ``device``."""
        return Splits(
            self.train.to(device),
            self.reference.to(device),
            self.select.to(device),
            self.test.to(device),
            self.classes,
        )


class Network(nn.Module):
    """``head(features(x))``, in two parts so that weights can be estimated on the features."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        return self.outputs(x)[1]

    def own_state_dict(self) -> dict[str, Tensor]:
        """What is saved for the module that a user makes: its ``load_state_dict`` takes it."""
        return self.state_dict()

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the head is given, [n, ...], and the logits that it makes of it, [n, classes]."""
        features = self.features(x)
        return features, self.head(features)


@dataclass(frozen=True)
class Data:
    """A task's clean rows before they are given roles.

    rows: to train and choose on.
    test: to test on.
    classes: number of classes; labels run over 0 .. classes - 1.
    trusted: clean rows that stand apart, where ``rows`` themselves are what came in with wrong
        labels or from another source; None where the reference and select rows are to be drawn
        from ``rows``.
    """

    rows: Rows
    test: Rows
    classes: int
    trusted: Rows | None = None

    @property
    def roles(self) -> dict[str, Rows]:
        """What there is of train, test and reference rows, before any is drawn."""
        roles = {"train": self.rows, "test": self.test}
        return roles if self.trusted is None else {**roles, "reference": self.trusted}


class LoadData(Protocol):
    """Reads a task's data."""

    def __call__(self, data_dir: Path | None) -> Data:
        """Read from ``data_dir``, or from where the task looks by itself."""
        ...


MakeNetwork = Callable[[torch.Size, int], Network]


@dataclass(frozen=True)
class Task:
    """A data set, a network for it, and the sizes of its clean splits.

    Args:
        name: what the command line and records call it.
        load: reads the data.
        networks: what makes an untrained network of (the shape of one row's inputs, classes), by
            name; the first is the default.
        reference_size: default number of reference rows.
        select_size: default number of select rows.
        augment: changes the inputs of a mini-batch at random, [n, ...] -> [n, ...], on their
            device, drawing from torch's global generators; None for none. Applied to training and
            reference rows alike, since their losses are compared.
        default_shift: the shift where the user names none, as :func:`parse_shift` reads it. Clean
            public rows are shifted, or there would be nothing to weight; a user's own are used
            as they came.
    """

    name: str
    load: LoadData
    networks: Mapping[str, MakeNetwork]
    reference_size: int
    select_size: int
    augment: Callable[[Tensor], Tensor] | None = None
    default_shift: str = "none"

    def network(self, splits: Splits, name: str | None = None) -> Network:
        """An untrained network for these rows, drawn from torch's global generator.

        ``name`` is a key of ``networks``; None takes the first.
        """
        if name is None:
            name = next(iter(self.networks))
        self.check_network(name)
        return self.networks[name](splits.reference.inputs.shape[1:], splits.classes)

    def check_network(self, name: str) -> None:
        """Refuse the name of a network that this task does not have."""
        if name not in self.networks:
            raise UserError(
                f"task '{self.name}' has no network '{name}': "
                f"choose one of {', '.join(self.networks)}"
            )

    def splits(
        self,
        shift: Shift,
        seed: int,
        reference_size: int | None = None,
        select_size: int | None = None,
        data_dir: Path | None = None,
    ) -> Splits:
        """Draw the clean roles at random, then shift what is left for training.

        Both draws are fixed by ``seed``. Sizes are in rows; None takes the task's default. Rows
        that training could not work with are refused, as far as :func:`row_problems` tells.
        """
        data = self.load(data_dir)
        for problem in row_problems(data.roles, data.classes):
            raise UserError(f"task '{self.name}': {problem}")
        sizes = self.clean_sizes(data, reference_size, select_size)
        clean = data.rows if data.trusted is None else data.trusted
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(clean), generator=generator)
        reference, select, rest = order.split([*sizes, len(clean) - sum(sizes)])
        rows = data.rows.take(rest) if data.trusted is None else data.rows
        shifted = shift.apply(rows.labels, rows.groups, data.classes, generator)
        return Splits(
            train=rows.take(shifted.kept).relabelled(shifted.labels),
            reference=loaded(clean.take(reference)),
            select=clean.take(select),
            test=data.test,
            classes=data.classes,
        )

    def clean_sizes(
        self, data: Data, reference_size: int | None = None, select_size: int | None = None
    ) -> tuple[int, int]:
        """How many reference and select rows to draw; None takes the task's default.

        Refused where ``data`` has too few rows for them.
        """
        reference = self.reference_size if reference_size is None else reference_size
        select = self.select_size if select_size is None else select_size
        for role, size in (("reference_size", reference), ("select_size", select)):
            if size < 1:
                raise UserError(f"{role} must be at least 1; got {size}")
        if data.trusted is not None and reference + select > len(data.trusted):
            raise UserError(
                f"reference_size {reference} and select_size {select} are more than the "
                f"{len(data.trusted)} trusted rows of task '{self.name}'"
            )
        if data.trusted is None and reference + select >= len(data.rows):
            raise UserError(
                f"reference_size {reference} and select_size {select} leave no training rows: "
                f"task '{self.name}' has {len(data.rows)}, so their sum must be below that"
            )
        return reference, select
