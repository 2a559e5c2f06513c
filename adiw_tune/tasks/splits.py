"""The roles of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adiw_tune.tasks.rows import Rows, Split


@dataclass(frozen=True)
class Splits:
    """The roles of the data, no row in two of them; ``test`` is the task's own.

    train: shifted, what the network is fitted to.
    reference: clean, what weights are estimated against; few enough rows to stay in memory.
    select: clean, what a search chooses by: its metric is measured on them.
    test: clean, read only to report.
    classes: number of classes, or of outputs for a row, as of :class:`adiw_tune.tasks.Data`.
    targets: the kind of the labels, a key of :data:`adiw_tune.tasks.targets.KINDS`.
    names: of the classes, where labels came as names.
    told: what ``digests`` gives, where it is known; to find it reads all rows.
    numbers: [n], int64: of each training row, which of the task's rows it is; None if not known.
    """

    train: Rows
    reference: Split
    select: Rows
    test: Rows
    classes: int
    targets: str = "classes"
    names: tuple[str, ...] = ()
    told: Mapping[str, str] | None = None
    numbers: Tensor | None = None

    def to(self, device: torch.device) -> "Splits":
        """The same splits on ``device``."""
        return replace(
            self,
            train=self.train.to(device),
            reference=self.reference.to(device),
            select=self.select.to(device),
            test=self.test.to(device),
        )

    def digests(self) -> dict[str, str]:
        """Of each role, 16 hexadecimal digits that tell its rows from any others.

        Made of inputs and labels (of train, the shifted ones) in their order; of rows that are
        streamed, of what :meth:`StreamedSplit.digest` says. The same on every device and machine,
        so that a run that is repeated from its record can tell whether it has the same data.
        """
        if self.told is not None:
            return dict(self.told)
        return {
            "train": self.train.digest(),
            "reference": self.reference.digest(),
            "select": self.select.digest(),
            "test": self.test.digest(),
        }
