"""The metric that a run is judged by, refused where its data cannot give it."""

import torch

from adiw_tune.errors import UserError
from adiw_tune.metrics import CLASSES, OWN, Metric, applicable, find_metric, value_of
from adiw_tune.tasks import Splits, Task, predictions_of


def main_metric(asked: str | None, task: Task, splits: Splits) -> Metric:
    """The metric ``asked`` for; else the task's, or the default for its kind of targets.

    Args:
        asked: its name, or None.
        task: whose own it may be.
        splits: of the task. Its select rows have to have a value of it.

    Raises:
        UserError: there is no such metric, or these rows have none; the message names those that
            they have.
    """
    there = {metric.name: metric for metric in _there(task, splits)}
    if not there:
        raise UserError(
            f"task '{task.name}' has targets that only its loss knows: define "
            "metric(outputs, targets, groups) too"
        )
    name = asked or task.metric or next(iter(there))
    if name in there:
        return there[name]
    wanted = find_metric(name)
    raise UserError(
        f"metric '{name}' {_why_not(wanted, task, splits)}: choose one of {', '.join(there)}"
    )


def _there(task: Task, splits: Splits) -> list[Metric]:
    """The metrics that the select rows have, whatever a network says of them."""
    rows = splits.select
    shape = (len(rows), splits.classes) if splits.targets == CLASSES else rows.labels.shape
    blank = predictions_of(splits.targets, torch.zeros(shape), rows)
    given = [one for one in applicable(blank) if value_of(one, blank) is not None]
    return given if task.own_metric is None else [*given, task.own_metric]


def _why_not(metric: Metric, task: Task, splits: Splits) -> str:
    if metric.name == OWN:
        return f"is not defined by task '{task.name}'"
    if splits.targets not in metric.kinds:
        return f"does not apply to targets of kind {splits.targets}, which task '{task.name}' has"
    if metric.needs_groups and splits.select.groups is None:
        return f"needs groups, which the rows of task '{task.name}' do not have"
    return f"has no value on the {len(splits.select)} select rows of task '{task.name}'"
