"""What is trained on: data in disjoint roles, and a network that shows its features."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.tasks.shifts import Shift


@dataclass(frozen=True)
class Split:
    """Rows of one role: inputs [n, ...] as float32 and labels [n] as int64."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Split":
        return Split(self.inputs[index], self.labels[index])

    def to(self, device: torch.device) -> "Split":
        """The same rows on ``device``."""
        return Split(self.inputs.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Splits:
    """The roles of the data. The first three are disjoint; ``test`` is the task's own.

    train: shifted, what the network is fitted to.
    reference: clean, what weights are estimated against.
    select: clean, what a search maximises accuracy on.
    test: clean, read only to report.
    """

    train: Split
    reference: Split
    select: Split
    test: Split

    def to(self, device: torch.device) -> "Splits":
        """The same splits on ``device``."""
        return Splits(*(s.to(device) for s in (self.train, self.reference, self.select, self.test)))


class Network(nn.Module):
    """``head(features(x))``, in two parts so that weights can be estimated on the features."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]."""
        logits: Tensor = self.head(self.features(x))
        return logits


class LoadData(Protocol):
    """Reads a task's clean data: (rows to train and choose on, rows to test on)."""

    def __call__(self, data_dir: Path | None) -> tuple[Split, Split]:
        """Read from ``data_dir``, or from where the task looks by itself."""
        ...


@dataclass(frozen=True)
class Task:
    """A data set, a network for it, and the sizes of its clean splits.

    Args:
        name: what the command line and records call it.
        classes: number of classes.
        load: reads the clean data.
        network: makes an untrained network.
        reference_size: default number of reference rows.
        select_size: default number of select rows.
    """

    name: str
    classes: int
    load: LoadData
    network: Callable[[], Network]
    reference_size: int
    select_size: int

    def splits(
        self,
        shift: Shift,
        seed: int,
        reference_size: int | None = None,
        select_size: int | None = None,
        data_dir: Path | None = None,
    ) -> Splits:
        """Draw the clean roles at random, then shift what is left for training.

        Both draws are fixed by ``seed``. Sizes are in rows; None takes the task's default.
        """
        rows, test = self.load(data_dir)
        n_reference = self.reference_size if reference_size is None else reference_size
        n_select = self.select_size if select_size is None else select_size
        self._check_sizes(len(rows), n_reference, n_select)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(rows), generator=generator)
        reference, select, train = order.split(
            [n_reference, n_select, len(rows) - n_reference - n_select]
        )
        shifted = shift.apply(rows[train].labels, self.classes, generator)
        return Splits(
            train=Split(rows.inputs[train][shifted.kept], shifted.labels),
            reference=rows[reference],
            select=rows[select],
            test=test,
        )

    def _check_sizes(self, rows: int, reference: int, select: int) -> None:
        for role, size in (("reference_size", reference), ("select_size", select)):
            if size < 1:
                raise UserError(f"{role} must be at least 1; got {size}")
        if reference + select >= rows:
            raise UserError(
                f"reference_size {reference} and select_size {select} leave no training rows: "
                f"task '{self.name}' has {rows}, so their sum must be below that"
            )
