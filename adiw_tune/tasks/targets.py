"""Kinds of targets: what a network gives for them, the loss of a row, and what weights see of them.

Rows carry their targets as labels. A new kind is one entry of :data:`KINDS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.text import counted

# One loss a row: outputs [n, ...] and targets [n, ...] -> [n].
RowLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """A kind of targets.

    Args:
        dtype: that rows carry them in; None for the one in which they came.
        in_columns: whether outputs and targets are compared elementwise: both are [n, k], or [n] if
            k is 1.
        loss: (outputs, targets) -> [n], the loss of each row, both as [n, k] if ``in_columns``;
            None if only the task can define it.
        beside: (targets, targets of the training rows, classes) -> [n, d], the encoding of the
            targets that is joined to the features when weights are estimated on features; None if
            there is none.
    """

    dtype: torch.dtype | None
    in_columns: bool
    loss: RowLoss | None
    beside: Callable[[Tensor, Tensor, int], Tensor] | None

    def compared(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and targets of n rows, both [n, k] if they are compared number by number."""
        return (columns(outputs), columns(labels)) if self.in_columns else (outputs, labels)

    def check_outputs(self, outputs: Tensor, labels: Tensor) -> None:
        """Refuse outputs that might broadcast against the targets.

        Raises:
            UserError: the first dimension is not that of the rows, most often since ``squeeze()``
                removed it where there was one row; or there are other numbers in a row.
        """
        n, shape = len(labels), list(outputs.shape)
        if shape[:1] != [n]:
            raise UserError(
                f"the network gives outputs {shape} for {counted(n, 'row')}: the first dimension "
                f"must be {n} (use squeeze(-1), not squeeze())"
            )
        if self.in_columns and outputs.numel() != labels.numel():
            raise UserError(
                f"the network gives outputs {shape} for targets {list(labels.shape)}: give as many "
                "numbers a row"
            )

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of each row where the task has none of its own: [n]."""
        assert self.loss is not None
        return self.loss(*self.compared(outputs, labels))

    def shapes(self, labels: Tensor, classes: int) -> list[list[int]]:
        """The shapes that outputs for ``labels`` may have; [] for any [n, ...]."""
        n = len(labels)
        if self.in_columns:
            k = columns(labels).shape[1]
            return [[n], [n, 1]] if k == 1 else [[n, k]]
        return [] if self.dtype is None else [[n, classes]]


def columns(x: Tensor) -> Tensor:
    """[n, ...] -> [n, k]."""
    return x.reshape(len(x), -1)


def spread(z: Tensor) -> Tensor:
    """Root mean squared distance of rows [n, d] from their mean, above 0: []."""
    return (z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt().clamp_min(1e-12)


KINDS = {
    # Class numbers, int64 [n]; logits [n, classes].
    "classes": Kind(
        dtype=torch.int64,
        in_columns=False,
        loss=partial(functional.cross_entropy, reduction="none"),
        beside=lambda labels, source, classes: functional.one_hot(labels, classes),
    ),
    # 0 or 1, float32 [n, k] or [n]: several labels a row, or one; logits alike.
    "binary": Kind(
        dtype=torch.float32,
        in_columns=True,
        loss=lambda logits, labels: functional.binary_cross_entropy_with_logits(
            logits, labels, reduction="none"
        ).mean(dim=1),
        beside=lambda labels, source, classes: columns(labels),
    ),
    # Real values, float32 [n, k] or [n]; outputs alike. Losses are squared errors.
    "real": Kind(
        dtype=torch.float32,
        in_columns=True,
        loss=lambda outputs, values: (outputs - values).square().mean(dim=1),
        beside=lambda values, source, classes: columns(values) / spread(columns(source)),
    ),
    # Whatever the task's own loss takes, [n, ...].
    "own": Kind(dtype=None, in_columns=False, loss=None, beside=None),
}


def row_loss(targets: str, own: RowLoss | None = None, label_smoothing: float = 0.0) -> RowLoss:
    """The loss of each row: the task's ``own``, or that of its kind of targets.

    Cross-entropy for classes; binary cross-entropy, averaged over the k labels of a row, for binary
    targets; squared error, averaged over the k values, for real ones.

    Args:
        targets: the kind, a key of :data:`KINDS`.
        own: the task's; None where it has none.
        label_smoothing: of the cross-entropy, in [0, 1).

    Raises:
        UserError: there is no cross-entropy of classes to smooth the labels of.
    """
    if label_smoothing == 0:
        return own or KINDS[targets].losses
    if own is not None or targets != "classes":
        raise UserError("label_smoothing is for the cross-entropy of classes: leave it out")
    return partial(functional.cross_entropy, reduction="none", label_smoothing=label_smoothing)


def kind_of(labels: Sequence[Tensor]) -> str | None:
    """The kind of the targets of all roles, by dtype, shape and values; None if it is none."""
    if any(some.ndim > 2 or some.is_complex() for some in labels):
        return None
    if all(some.ndim == 1 and not some.is_floating_point() for some in labels):
        return "classes"
    if all(is_binary(some) for some in labels):
        return "binary"
    return "real" if all(some.is_floating_point() for some in labels) else None


def is_binary(labels: Tensor) -> bool:
    """Whether every number is 0 or 1."""
    return bool(((labels == 0) | (labels == 1)).all())
