"""Data and network of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adiw_tune.errors import UserError
from adiw_tune.ranges import shown
from adiw_tune.tasks import find_task, parse_shift
from adiw_tune.training.config.checks import MOST_ROWS, check_wholes

_PLAIN = (bool, int, float, str, type(None))
DEFAULT = "default"  # of a field whose default is the task's


@dataclass(frozen=True)
class DataConfig:
    """Which rows a network is fitted to, and which network.

    Args:
        task: a name of :data:`adiw_tune.tasks.TASKS`, or the path of a Python file that is one.
        network: one of the task's; None for its first.
        model: arguments for ``model()`` of a task file, such as ``{"width": 128}``: names and plain
            values. None gives none.
        shift: as :func:`adiw_tune.tasks.parse_shift` reads it, such as pair:0.45. "default" is
            replaced by the task's own shift, which is none for a user's rows.
        reference_size, select_size: rows in these splits; None for the task's default. Where folds
            is 2 or more, only their sum counts: how many clean rows there are in all. Both None
            are then all rows of a task whose clean rows stand apart.
        folds: 1, or 2 and more for cross-fitting, which is for few clean rows: the reference rows
            set the weights, so no row may both weigh and select, and yet all are needed for either.
            The clean rows are cut by the seed into so many equal parts (to one row); one is the
            select rows, the others are the reference rows. Over the folds of a seed every clean
            row selects once and weighs folds - 1 times, and training rows stay the same.
        fold: which part selects, in [0, folds).
    """

    task: str = "digits"
    network: str | None = None
    model: Mapping[str, Any] | None = None
    shift: str = DEFAULT
    reference_size: int | None = None
    select_size: int | None = None
    folds: int = 1
    fold: int = 0

    def _check_data(self) -> None:
        task = find_task(self.task)
        if self.network is not None:
            task.check_network(self.network)
        object.__setattr__(self, "model", self._plain_model() or None)
        task.check_settings(self.model or {})
        if self.shift == DEFAULT:
            object.__setattr__(self, "shift", task.default_shift)  # what a record is to tell
        parse_shift(self.shift)
        check_wholes(
            vars(self),
            (
                ("reference_size", 1, MOST_ROWS),
                ("select_size", 1, MOST_ROWS),
                ("folds", 1, MOST_ROWS),
                ("fold", 0, MOST_ROWS),
            ),
        )
        if self.fold >= self.folds:
            raise UserError(f"fold must be below folds, {self.folds}; got {self.fold}")

    def _plain_model(self) -> dict[str, Any]:
        """The settings of the network, as a record holds them."""
        settings = dict(self.model or {})
        for name, value in settings.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise UserError(f"model has the setting {shown(name)}: use names of arguments")
            not_finite = isinstance(value, float) and not math.isfinite(value)
            if not_finite or not isinstance(value, _PLAIN):
                raise UserError(
                    f"model has {name} {shown(value):.100}: use an int, a finite float, a str, a "
                    "bool or None"
                )
        return settings
