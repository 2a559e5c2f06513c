"""A task's rows before they are given roles."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from adiw_tune.tasks.rows import Rows


@dataclass(frozen=True)
class Data:
    """A task's clean rows before they are given roles.

    rows: to train and choose on.
    test: to test on.
    classes: number of classes; labels run over 0 .. classes - 1. Of other targets the number k of
        outputs for a row, or 0 where only the task's own loss knows.
    trusted: clean rows that stand apart, where ``rows`` themselves are what came in with wrong
        labels or from another source; None where the reference and select rows are to be drawn
        from ``rows``.
    targets: the kind of the labels, a key of :data:`adiw_tune.tasks.targets.KINDS`.
    names: of the classes, where labels came as names.
    relabelled: other labels of ``rows`` by name, [n, ...], that shift ``labels:#NAME`` trains on.
    """

    rows: Rows
    test: Rows
    classes: int
    trusted: Rows | None = None
    targets: str = "classes"
    names: tuple[str, ...] = ()
    relabelled: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, Rows]:
        """What there is of train, test and reference rows, before any is drawn."""
        roles = {"train": self.rows, "test": self.test}
        return roles if self.trusted is None else {**roles, "reference": self.trusted}
