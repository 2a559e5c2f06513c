"""What every task must do, as checks that a user's own can be put through."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Data, Task
from adiw_tune.tasks.checks import row_problems
from adiw_tune.tasks.rows import Rows, at_once
from adiw_tune.tasks.shifts import NoShift
from adiw_tune.tasks.streamed import StreamedSplit
from adiw_tune.tasks.trial import Inspection, try_network

_STREAMED_ROWS = 5000  # to look at; of rows in memory all are looked at
_AGAIN = 8  # rows that are read twice
_SHARED = 0.01  # of the rows of a role may be training rows too: real data sets repeat a few
_DIFFERENT = 0.99  # of the training rows must be, else rows that are alike tell nothing


def check_task(
    task: Task,
    data_dir: Path | None = None,
    reference_size: int | None = None,
    select_size: int | None = None,
) -> list[str]:
    """What ``task`` does that training cannot work with, one line each; [] if all is well.

    Its rows are gone through: whether there are any, labels lie in [0, classes), inputs are
    finite, of one shape and float32 or uint8, a row read twice is the same twice, the clean roles
    can be drawn with these sizes (None takes the task's), and test and reference rows are not
    training rows as well, unless training rows repeat each other. Each of its networks is tried on
    a mini-batch: whether logits are finite and [n, classes], the same twice in evaluation mode,
    and a gradient reaches the parameters.
    """
    return inspect_task(task, data_dir, reference_size, select_size).problems


def inspect_task(
    task: Task,
    data_dir: Path | None = None,
    reference_size: int | None = None,
    select_size: int | None = None,
) -> Inspection:
    """As :func:`check_task`, with a summary: rows, classes, the shape of inputs and the like."""
    try:
        data = task.load(data_dir)
        found = Inspection([*row_problems(data.roles, data.classes)])
        if all(len(rows) for rows in data.roles.values()):
            found = _with(found, _look_at_rows(data))
    except UserError as error:
        return Inspection([str(error)])
    try:
        task.clean_sizes(data, reference_size, select_size)
    except UserError as error:
        found.problems.append(str(error))
    if found.problems:  # a network would fail for no reason of its own
        return found
    # The rows are at hand; they need not be read from their files again.
    at_hand = replace(task, load=lambda data_dir: data)
    splits = at_hand.splits(NoShift(), 0, reference_size, select_size)
    for name in task.networks:
        found = _with(found, try_network(task, splits, name))
    return found


def _with(first: Inspection, second: Inspection) -> Inspection:
    return Inspection(first.problems + second.problems, first.summary + second.summary)


def _look_at_rows(data: Data) -> Inspection:
    looks = {role: _look(role, rows) for role, rows in data.roles.items()}
    found = Inspection([p for look in looks.values() for p in look.problems], [_summary(data)])
    groups = data.rows.groups
    if groups is not None and not (groups == 0).any():
        found.problems.append("no row of train is in group 0, which a shift of groups keeps")
    train = looks.pop("train")
    for role, look in looks.items():
        found = _with(found, _shared(train, role, look))
    return found


@dataclass(frozen=True)
class _Look:
    """What is known of the rows of a role after going through them."""

    problems: list[str]
    seen: set[bytes]  # of each row looked at, a digest of its inputs
    count: int  # of rows looked at


def _look(role: str, rows: Rows) -> _Look:
    index = torch.arange(len(rows))
    streamed = isinstance(rows, StreamedSplit)
    if streamed and len(rows) > _STREAMED_ROWS:
        index = torch.linspace(0, len(rows) - 1, _STREAMED_ROWS).long()
    seen: list[bytes] = []
    finite = True
    for some in rows.batches(index.split(at_once(rows))):
        finite = finite and bool(some.inputs.isfinite().all())
        seen += _digests(some.inputs)
    problems = []
    if streamed and not finite:  # of rows in memory it has been told
        problems.append(f"{role} has inputs that are not finite")
    # The other way round: two draws from one seed would be alike.
    first = index[:_AGAIN]
    if _digests(next(rows.batches([first.flip(0)])).inputs)[::-1] != seen[: len(first)]:
        problems.append(
            f"reading a row of {role} twice gives different inputs: what is random belongs in "
            "augment(inputs)"
        )
    return _Look(problems, set(seen), len(seen))


def _digests(inputs: Tensor) -> list[bytes]:
    # As bytes, since numpy has not every dtype of torch's.
    rows = inputs.cpu().unsqueeze(1).flatten(1).contiguous().view(torch.uint8).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _summary(data: Data) -> str:
    sizes = [f"{len(data.rows)} training rows", f"{len(data.test)} test rows"]
    if data.trusted is not None:
        sizes.append(f"{len(data.trusted)} reference rows")
    example = data.rows.example
    kind = f"{list(example.shape[1:])} {str(example.dtype).removeprefix('torch.')}"
    return f"{', '.join(sizes)}, {data.classes} classes, inputs {kind}"


def _shared(train: _Look, role: str, other: _Look) -> Inspection:
    """Whether rows of ``other`` are training rows too.

    Where training rows repeat each other, as those of few and discrete numbers do, equal inputs
    do not mean the same row.
    """
    shared = len(train.seen & other.seen)
    if not shared:
        return Inspection([])
    line = f"{shared} of {len(other.seen)} different {role} rows have the inputs of a training row"
    differ = len(train.seen) >= _DIFFERENT * train.count
    if differ and shared > _SHARED * len(other.seen):
        return Inspection([line])
    return Inspection([], [line])
