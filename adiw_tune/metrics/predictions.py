"""What a network said of some rows, and what it should have said."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

CLASSES, BINARY, REAL, OWN_TARGETS = KINDS = ("classes", "binary", "real", "own")

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Outputs of a network beside the targets, as arrays on the CPU.

    Args:
        kind: of the targets, which says what outputs and targets are:

            classes   logits [n, C], and labels [n] in 0 .. C - 1, int64
            binary    logits [n, k], and targets [n, k], each 0 or 1; k = 1 is one question, more
                      are as many labels
            real      outputs and targets alike, [n] or [n, k]
            own       whatever the task's own metric takes
        outputs, targets: as the kind has them, float32 outputs.
        groups: [n], int64, or None where rows have none.
    """

    kind: str
    outputs: Array
    targets: Array
    groups: Array | None = None

    def take(self, index: Array) -> "Predictions":
        """The rows ``index``."""
        groups = None if self.groups is None else self.groups[index]
        return Predictions(self.kind, self.outputs[index], self.targets[index], groups)

    @cached_property
    def finite(self) -> bool:
        """Whether no output is NaN or infinite."""
        return bool(np.isfinite(self.outputs).all())

    @cached_property
    def decisions(self) -> Array:
        """The class of each row, [n]; of binary targets 1 where the logit is above 0, [n, k]."""
        if self.kind == CLASSES:
            return np.asarray(self.outputs.argmax(1))
        return (self.outputs > 0).astype(np.int64)

    @cached_property
    def right(self) -> Array:
        """Which decisions are right: [n], or [n, k]."""
        return np.asarray(self.decisions == self.targets)

    @cached_property
    def log_probabilities(self) -> Array:
        """[n, C], float64, of each class; of binary targets those of a 1, [n, k]."""
        logits = self.outputs.astype(np.float64)
        if self.kind == BINARY:
            return np.asarray(-np.logaddexp(0.0, -logits))
        logits = logits - logits.max(1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))

    @cached_property
    def one_against_rest(self) -> list[tuple[Array, Array]]:
        """Questions of yes or no: scores [n], the greater the likelier, and truth [n], bool.

        Each class against the rest, by its log-probability; of two classes, the second, by how far
        its logit is above the other's: probabilities become equal where a network is sure. Of
        binary targets each label, by its logit.
        """
        if self.kind == BINARY:
            return [(self.outputs[:, j], self.targets[:, j] == 1) for j in _columns(self.outputs)]
        if self.outputs.shape[1] == 2:
            logits = self.outputs.astype(np.float64)
            return [(logits[:, 1] - logits[:, 0], self.targets == 1)]
        scores = self.log_probabilities
        return [(scores[:, c], self.targets == c) for c in _columns(scores)]

    @cached_property
    def confusions(self) -> list[Array]:
        """Counts [true, decided], of all classes together, or 2 x 2 of each label."""
        if self.kind == CLASSES:
            return [_confusion(self.targets, self.decisions, self.outputs.shape[1])]
        return [
            _confusion(self.targets[:, j].astype(np.int64), self.decisions[:, j], 2)
            for j in _columns(self.outputs)
        ]


def _columns(table: Array) -> range:
    return range(table.shape[1])


def _confusion(targets: Array, decisions: Array, classes: int) -> Array:
    cells = np.bincount(targets * classes + decisions, minlength=classes * classes)
    return np.asarray(cells.reshape(classes, classes))
