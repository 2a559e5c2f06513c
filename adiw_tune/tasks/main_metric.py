"""The metric that a run is judged by; refused if the task's rows cannot give it."""

from collections.abc import Callable
from functools import cache

import torch

from adiw_tune.errors import UserError
from adiw_tune.metrics import (
    CLASSES,
    METRICS,
    OWN,
    OWN_TARGETS,
    Metric,
    Predictions,
    find_metric,
    value_of,
)
from adiw_tune.tasks.base import Task
from adiw_tune.tasks.predictions import predictions_of
from adiw_tune.tasks.rows import Rows
from adiw_tune.tasks.splits import Splits


def check_has_metric(task: Task, splits: Splits) -> None:
    """Refuse targets of kind own if the task defines no metric."""
    if splits.targets == OWN_TARGETS and task.own_metric is None:
        raise UserError(
            f"task '{task.name}' has targets of kind own, to which no built-in metric applies: "
            "define metric(outputs, targets, groups)"
        )


def main_metric(asked: str | None, task: Task, splits: Splits) -> Metric:
    """The metric ``asked`` for; else the task's, or the default for its kind of targets.

    Unless it is the task's own, the metric is computed on outputs of zeros. Try the network first:
    if the number of classes is wrong and very large, computing the metric may run out of memory.

    Args:
        asked: its name, or None.
        task: whose own it may be.
        splits: of the task. Its select and its test rows have to have a value of it.

    Raises:
        UserError: there is no such metric, or it is undefined on these rows; the message names
            those that are defined.
    """
    check_has_metric(task, splits)
    own = task.own_metric
    # Only targets and groups of the test rows are used, not a network's outputs: no reading of the
    # test split. Without this a search could turn out not to be finalizable at its end.
    zeros = cache(lambda role: _zero_predictions(getattr(splits, role), splits))
    of_kind = (one.name for one in METRICS.values() if splits.targets in one.kinds)
    name = asked or task.metric or next(of_kind, OWN)
    metric = own if own is not None and name == OWN else find_metric(name)
    if why := _why_undefined(metric, task, splits.targets, zeros):
        every = METRICS.values() if own is None else [*METRICS.values(), own]
        there = [
            one.name for one in every if _why_undefined(one, task, splits.targets, zeros) is None
        ]
        raise UserError(f"metric '{name}' {why}: choose one of {', '.join(there)}")
    return metric


def _zero_predictions(rows: Rows, splits: Splits) -> Predictions:
    """Predictions of zeros: whether a metric is defined does not depend on outputs."""
    row = (splits.classes,) if splits.targets == CLASSES else rows.labels.shape[1:]
    outputs = torch.zeros(1, *row).expand(len(rows), *row)  # takes the memory of one row
    return predictions_of(splits.targets, outputs, rows)


def _why_undefined(
    metric: Metric, task: Task, kind: str, zeros: Callable[[str], Predictions]
) -> str | None:
    """Why the metric is undefined on select or test rows; None if it is defined on both."""
    if metric.name == OWN:  # which is tried on outputs of a network, see check_network
        return None if task.own_metric else f"is not defined by task '{task.name}'"
    if kind not in metric.kinds:
        return f"does not apply to targets of kind {kind}, which task '{task.name}' has"
    for role in ("select", "test"):
        some = zeros(role)
        if metric.needs_groups and some.groups is None:
            return f"needs groups, which the {role} rows of task '{task.name}' do not have"
        if value_of(metric, some) is None:
            return f"has no value on the {len(some.targets)} {role} rows of task '{task.name}'"
    return None
