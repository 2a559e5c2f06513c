"""What every task must do, as checks that a user's own can be put through."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Task
from adiw_tune.tasks.checks import not_finite, other_rows, row_problems, unlike_twice
from adiw_tune.tasks.coverage import coverage_remarks, listed
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.main_metric import check_has_metric, main_metric
from adiw_tune.tasks.nests import named
from adiw_tune.tasks.overlap import clean_source, overlaps, row_digests
from adiw_tune.tasks.rows import Rows, at_once
from adiw_tune.tasks.shifts import NoShift
from adiw_tune.tasks.streamed import StreamedSplit
from adiw_tune.tasks.trial import Inspection, try_network

_STREAMED_ROWS = 5000  # to look at; of rows in memory all are looked at


def check_task(
    task: Task,
    data_dir: Path | None = None,
    reference_size: int | None = None,
    select_size: int | None = None,
) -> list[str]:
    """What ``task`` does that training cannot work with, one line each; [] if all is well.

    Its rows are gone through: whether there are any, labels are of their kind, such as classes in
    [0, classes), inputs are finite and alike, a row read twice is the same twice, all are the same
    when they are loaded again, the clean roles can be drawn with these sizes (None takes the
    task's), select and test rows have a value of the task's metric, and no row stands in two roles,
    as :mod:`adiw_tune.tasks.overlap` tells. Each of its
    networks is tried on a mini-batch: whether outputs are finite and of the shape for the kind of
    labels, such as [n, classes], the same twice in evaluation mode, there is one loss a row, a
    gradient reaches the parameters, and a second network has its own.
    """
    return inspect_task(task, data_dir, reference_size, select_size).problems


def inspect_task(
    task: Task,
    data_dir: Path | None = None,
    reference_size: int | None = None,
    select_size: int | None = None,
) -> Inspection:
    """As :func:`check_task`, with a summary: rows, kind of labels, shapes of inputs and the like.

    And with remarks: on names in the task's file, on classes that a role has no rows of, and on
    a network that ends in an activation.
    """
    found = _inspected(task, data_dir, reference_size, select_size)
    return replace(found, remarks=[*task.remarks, *found.remarks])


def _inspected(
    task: Task, data_dir: Path | None, reference_size: int | None, select_size: int | None
) -> Inspection:
    try:
        data = task.load(data_dir)
        found = Inspection([*row_problems(data)])
        if all(len(rows) for rows in data.roles.values()):
            found = _look_at_rows(data, found)
        if not found.problems:
            found.problems.extend(other_rows(_digests(data), _digests(task.load(data_dir))))
    except UserError as error:
        return Inspection([str(error)])
    try:
        task.clean_sizes(data, reference_size, select_size)
        if found.problems:  # a network would fail for no reason of its own
            return found
        # The rows are at hand; they need not be read from their files again.
        at_hand = replace(task, load=lambda data_dir: data)
        splits = at_hand.splits(NoShift(), 0, reference_size, select_size)
    except UserError as error:
        found.problems.append(str(error))
        return found
    found.remarks.extend(coverage_remarks(splits))
    for name in task.networks:
        found = _with(found, try_network(task, splits, name))
    try:
        check_has_metric(task, splits)
        if found.problems:
            return found
        metric = main_metric(None, task, splits)
        if task.metric is not None:
            direction = "greater" if metric.greater_is_better else "lower"
            found.summary.insert(1, f"metric {metric.name} ({direction} is better)")
    except UserError as error:
        found.problems.append(str(error))
    return found


def _with(first: Inspection, second: Inspection) -> Inspection:
    return Inspection(
        first.problems + second.problems,
        first.summary + second.summary,
        first.remarks + second.remarks,
    )


def _look_at_rows(data: Data, found: Inspection) -> Inspection:
    """``found``, with what shows in the rows."""
    looks = {role: _look(role, rows) for role, rows in data.roles.items()}
    problems = [problem for look in looks.values() for problem in look.problems]
    found = _with(found, Inspection(problems, [_summary(data)]))
    groups = data.rows.groups
    if groups is not None and not (groups == 0).any():
        found.problems.append("no row of train is in group 0, which a shift of groups keeps")
    if found.problems:  # rows that are all NaN are alike
        return found
    seen = {role: look.seen for role, look in looks.items()}
    twice = list(overlaps(seen, clean_source(data.roles)))
    problems = [overlap.problem for overlap in twice if overlap.refused]
    return _with(found, Inspection(problems, [o.line for o in twice if not o.refused]))


@dataclass(frozen=True)
class _Look:
    """What is known of the rows of a role after going through them."""

    problems: list[str]
    seen: list[bytes]  # of each row looked at, a digest of its inputs


def _look(role: str, rows: Rows) -> _Look:
    index = torch.arange(len(rows))
    streamed = isinstance(rows, StreamedSplit)
    if streamed and len(rows) > _STREAMED_ROWS:
        index = torch.linspace(0, len(rows) - 1, _STREAMED_ROWS).long()
    seen: list[bytes] = []
    problems: dict[str, None] = {}  # each once, in order
    # One by one where shapes vary: the padding of a row is not to tell it from itself elsewhere.
    for some in rows.batches(index.split(1 if rows.collated else at_once(rows))):
        if streamed:  # of rows in memory it has been told
            problems |= dict.fromkeys(not_finite(role, some.inputs))
        seen += row_digests(some.inputs)
    return _Look([*problems, *unlike_twice(role, rows)], seen)


def _digests(data: Data) -> dict[str, str]:
    return {role: rows.digest() for role, rows in data.roles.items()}


def _summary(data: Data) -> str:
    sizes = [f"{len(data.rows)} training rows", f"{len(data.test)} test rows"]
    if data.trusted is not None:
        sizes.append(f"{len(data.trusted)} reference rows")
    return f"{', '.join(sizes)}, {_labels(data)}, {_inputs(data.rows)}"


def _labels(data: Data) -> str:
    names = f" ({listed(data.names)})" * bool(data.names)
    if data.targets == "classes":
        return f"{data.classes} classes{names}"
    shape = list(data.rows.labels.shape[1:])
    return f"{data.targets} targets, {f'{shape} a row' if shape else 'one a row'}{names}"


def _inputs(rows: Rows) -> str:
    """Of each tensor the shape of a row and the dtype."""
    kinds = (
        f"{at} {list(x.shape[1:])} {str(x.dtype).removeprefix('torch.')}"
        for at, x in named(rows.example)
    )
    return ", ".join(kinds) + " in the first row" * rows.collated
