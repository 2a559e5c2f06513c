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
        row_shape: shape that the targets of one row have in the task, such as () where the task
            has [n] and ``targets`` is [n, 1]. None: ``targets`` has the shape that it has there.
    """

    kind: str
    outputs: Array
    targets: Array
    groups: Array | None = None
    row_shape: tuple[int, ...] | None = None

    @property
    def in_task_shape(self) -> tuple[Array, Array]:
        """Outputs and targets, both in the shape that the task's targets have."""
        if self.row_shape is None:
            return self.outputs, self.targets
        shape = len(self.targets), *self.row_shape
        return self.outputs.reshape(shape), self.targets.reshape(shape)

    def take(self, index: Array) -> "Predictions":
        """The rows ``index``."""
        groups = None if self.groups is None else self.groups[index]
        outputs, targets = self.outputs[index], self.targets[index]
        return Predictions(self.kind, outputs, targets, groups, self.row_shape)

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
    def scores(self) -> Array:
        """Scores of the positive answers of ``truth``, in its shape: [n], or [n, k].

        For classes the log-probabilities; for two classes the difference of the logits, class 1
        minus class 0; for binary targets the logits. Not probabilities: where the network is sure,
        these round to equal numbers, and the ranking is lost.
        """
        if self.kind == BINARY:
            return self.outputs
        if self.outputs.shape[1] == 2:
            logits = self.outputs.astype(np.float64)
            return np.asarray(logits[:, 1] - logits[:, 0])
        return self.log_probabilities

    @cached_property
    def truth(self) -> Array:
        """Questions of yes or no, bool, in the shape of ``scores``.

        Whether a row is of each class, or of the second of two; of binary targets, each label.
        """
        if self.kind == BINARY or self.outputs.shape[1] == 2:
            return np.asarray(self.targets == 1)
        return np.asarray(self.targets[:, None] == np.arange(self.outputs.shape[1]))

    @cached_property
    def questions(self) -> list[tuple[Array, Array]]:
        """(targets, decisions), [n] both: of all classes together, or of each label."""
        if self.kind == CLASSES:
            return [(self.targets, self.decisions)]
        return list(zip(self.targets.T, self.decisions.T, strict=True))
