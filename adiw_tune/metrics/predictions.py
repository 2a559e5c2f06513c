"""What a network said of some rows, and what it should have said."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

CLASSES, BINARY, REAL, OWN_TARGETS = KINDS = ("classes", "binary", "real", "own")

Array: TypeAlias = NDArray[Any]


def _row_by_row(find: Callable[["Predictions"], Array]) -> "cached_property[Array]":
    """A property that each row has by itself, found once: rows that are taken bring it along."""

    @wraps(find)
    def found(self: "Predictions") -> Array:
        if self.taken_from is None:
            return find(self)
        whole, index = self.taken_from
        return np.asarray(getattr(whole, find.__name__)[index])

    return cached_property(found)


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
        taken_from: the predictions of which these are rows, and which of them.
    """

    kind: str
    outputs: Array
    targets: Array
    groups: Array | None = None
    taken_from: "tuple[Predictions, Array] | None" = field(default=None, repr=False)

    def take(self, index: Array) -> "Predictions":
        """The rows ``index``."""
        groups = None if self.groups is None else self.groups[index]
        of_rows = self.outputs[index], self.targets[index]
        return Predictions(self.kind, *of_rows, groups, (self, index))

    @cached_property
    def finite(self) -> bool:
        """Whether no output is NaN or infinite."""
        return bool(np.isfinite(self.outputs).all())

    @_row_by_row
    def decisions(self) -> Array:
        """The class of each row, [n]; of binary targets 1 where the logit is above 0, [n, k]."""
        if self.kind == CLASSES:
            return np.asarray(self.outputs.argmax(1))
        return (self.outputs > 0).astype(np.int64)

    @_row_by_row
    def right(self) -> Array:
        """Which decisions are right: [n], or [n, k]."""
        return np.asarray(self.decisions == self.targets)

    @_row_by_row
    def log_probabilities(self) -> Array:
        """[n, C], float64, of each class; of binary targets those of a 1, [n, k]."""
        logits = self.outputs.astype(np.float64)
        if self.kind == BINARY:
            return np.asarray(-np.logaddexp(0.0, -logits))
        logits = logits - logits.max(1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))

    @_row_by_row
    def losses(self) -> Array:
        """-log of the probability of what is true, float64: [n], of each label [n, k]."""
        if self.kind == BINARY:
            logits = self.outputs.astype(np.float64)
            return np.asarray(np.logaddexp(0.0, np.where(self.targets == 1, -logits, logits)))
        return np.asarray(-self.log_probabilities[np.arange(len(self.targets)), self.targets])

    @_row_by_row
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

    @_row_by_row
    def ranks(self) -> Array:
        """Where the ``scores`` stand in their column, from 0, equal ones alike: [n, columns]."""
        columns = self.scores.reshape(len(self.scores), -1).T
        return np.stack([np.unique(one, return_inverse=True)[1] for one in columns], axis=1)

    @_row_by_row
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
