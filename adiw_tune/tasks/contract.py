"""What every task must do, as checks that a user's own can be put through."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Data, Network, Splits, Task
from adiw_tune.tasks.own import Watched
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.shifts import NoShift
from adiw_tune.tasks.streamed import StreamedSplit

_STREAMED_ROWS = 5000  # to look at; of rows in memory all are looked at
_SHARED = 0.01  # of the rows of a role may be training rows too: real data sets repeat a few
_BATCH = 8  # rows that a network is tried on


@dataclass(frozen=True)
class Inspection:
    """What looking at a task came to.

    Args:
        problems: one line each; [] if all is well.
        summary: numbers of rows and classes, the shape of inputs, and what is worth knowing.
    """

    problems: list[str]
    summary: list[str] = field(default_factory=list)


def check_task(task: Task, data_dir: Path | None = None) -> list[str]:
    """What ``task`` does that training cannot work with, one line each; [] if all is well.

    Its rows are gone through: whether there are any, labels lie in [0, classes), inputs are
    finite, of one shape and float32 or uint8, a row read twice is the same twice, the clean roles
    can be drawn, and test and reference rows are not training rows as well. Each of its networks
    is tried on a mini-batch: whether logits are finite and [n, classes], the same twice in
    evaluation mode, a gradient reaches the parameters, and there are features to look at.
    """
    return inspect_task(task, data_dir).problems


def inspect_task(task: Task, data_dir: Path | None = None) -> Inspection:
    """As :func:`check_task`, with a summary."""
    try:
        data = task.load(data_dir)
        roles = {"train": data.rows, "test": data.test}
        if data.trusted is not None:
            roles["reference"] = data.trusted
        looks = {role: _look(role, rows, data.classes) for role, rows in roles.items()}
    except UserError as error:
        return Inspection([str(error)])
    problems = [problem for look in looks.values() for problem in look.problems]
    summary = [_summary(data, looks["train"])]
    train, *others = looks.values()
    for other in others:
        problems += _unlike(train, other)
        shared, line = _shared(train, other)
        (problems if shared > _SHARED else summary).extend([line] * (shared > 0))
    try:
        # The rows are at hand; they need not be read from their files again.
        splits = replace(task, load=lambda data_dir: data).splits(NoShift(), seed=0)
    except UserError as error:
        return Inspection([*problems, str(error)], summary)
    if not problems:  # else a network fails for no reason of its own
        problems += [p for name in task.networks for p in _network_problems(task, name, splits)]
    return Inspection(problems, summary)


@dataclass(frozen=True)
class _Look:
    """What is known of the rows of a role after going through them."""

    role: str
    problems: list[str]
    shape: torch.Size
    dtype: torch.dtype | None
    seen: set[bytes]  # of each row looked at, a digest of its inputs
    count: int  # of rows looked at


def _look(role: str, rows: Rows, classes: int) -> _Look:
    if len(rows) == 0:
        return _Look(role, [f"{role} has no rows"], torch.Size(), None, set(), 0)
    problems = list(_column_problems(role, rows, classes))
    index = torch.arange(len(rows))
    if isinstance(rows, StreamedSplit) and len(rows) > _STREAMED_ROWS:
        index = torch.linspace(0, len(rows) - 1, _STREAMED_ROWS).long()
    seen: list[bytes] = []
    finite = True
    for some in rows.batches(index.split(rows.at_once)):
        finite = finite and bool(some.inputs.isfinite().all())
        seen += _digests(some.inputs)
    if not finite:
        problems.append(f"{role} has inputs that are not finite")
    if some.inputs.dtype not in (torch.float32, torch.uint8):
        problems.append(f"inputs of {role} are {some.inputs.dtype}: give float32 or uint8")
    # The other way round: two draws from one seed would be alike.
    first = index[:_BATCH]
    if _digests(next(rows.batches([first.flip(0)])).inputs)[::-1] != seen[: len(first)]:
        problems.append(
            f"reading a row of {role} twice gives different inputs: what is random belongs in "
            "augment(inputs)"
        )
    return _Look(role, problems, some.inputs.shape[1:], some.inputs.dtype, set(seen), len(seen))


def _column_problems(role: str, rows: Rows, classes: int) -> Iterator[str]:
    labels, groups = rows.labels, rows.groups
    if labels.dtype != torch.int64:
        yield f"labels of {role} are {labels.dtype}: give int64"
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        yield (
            f"labels of {role} run from {int(labels.min())} to {int(labels.max())}: with {classes} "
            f"classes they must lie in 0 .. {classes - 1}"
        )
    if role == "train" and groups is not None and not (groups == 0).any():
        yield "no row of train is in group 0, which a shift of groups keeps"


def _digests(inputs: Tensor) -> list[bytes]:
    rows = inputs.cpu().contiguous().flatten(1).numpy()
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _summary(data: Data, train: _Look) -> str:
    sizes = [f"{len(data.rows)} training rows", f"{len(data.test)} test rows"]
    if data.trusted is not None:
        sizes.append(f"{len(data.trusted)} reference rows")
    dtype = str(train.dtype).removeprefix("torch.")
    return f"{', '.join(sizes)}, {data.classes} classes, inputs {list(train.shape)} {dtype}"


def _unlike(train: _Look, other: _Look) -> Iterator[str]:
    if (train.shape, train.dtype) != (other.shape, other.dtype) and train.count and other.count:
        yield (
            f"inputs of {other.role} are {list(other.shape)} {other.dtype}, those of train "
            f"{list(train.shape)} {train.dtype}: they must be alike"
        )


def _shared(train: _Look, other: _Look) -> tuple[float, str]:
    """The share of different rows of ``other`` that are training rows too, and a line about it."""
    shared = len(train.seen & other.seen)
    line = (
        f"{shared} of {len(other.seen)} different {other.role} rows have the inputs of a "
        "training row"
    )
    return shared / max(1, len(other.seen)), line


def _network_problems(task: Task, name: str, splits: Splits) -> list[str]:
    size = min(_BATCH, len(splits.train))
    rows = next(splits.train.batches([torch.arange(size)]))
    with torch.random.fork_rng(devices=[]):
        try:
            network = task.network(splits, name)
            found = [*islice(_evaluation(network, rows, splits.classes), 1)]
            return [f"{name}: {line}" for line in found or _training(task, network, rows)]
        except UserError as error:
            return [str(error)]
        except Exception as error:  # whatever the network's own code raises
            why = " ".join(f"{type(error).__name__}: {error}".split())
            return [f"{name} fails on inputs {list(rows.inputs.shape)}: {why}"]


def _evaluation(network: Network, rows: Split, classes: int) -> Iterator[str]:
    """What is wrong in evaluation mode. What comes first may make the rest fail."""
    n = len(rows)
    network.eval()
    with torch.no_grad():
        features, logits = network.outputs(rows.inputs)
        _, again = network.outputs(rows.inputs)
    if not isinstance(logits, Tensor) or logits.shape != (n, classes):
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        yield (
            f"logits of {n} rows must be [{n}, {classes}]; they are {got} (is the number of "
            "classes right?)"
        )
    if not logits.isfinite().all():
        yield "logits must be finite"
    if not torch.allclose(logits, again, rtol=1e-4, atol=1e-5):
        yield "the same rows give other logits the second time in evaluation mode"
    if isinstance(network, Watched) and features is logits:
        yield (
            "no nn.Linear is called, so representation feature has nothing to look at: give a "
            "Network(features, head)"
        )
    if features.shape[0] != n:
        yield f"features of {n} rows must be [{n}, ...]; they are {list(features.shape)}"


def _training(task: Task, network: Network, rows: Split) -> Iterator[str]:
    inputs = rows.inputs if task.augment is None else task.augment(rows.inputs)
    if len(inputs) != len(rows):
        yield f"augment makes {len(inputs)} rows of {len(rows)}: each row must stay one"
        return
    network.train()
    loss = functional.cross_entropy(network(inputs).float(), rows.labels)
    if not loss.requires_grad:
        yield "the loss has no gradient: are all parameters frozen?"
        return
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not any(g.any() for g in gradients):
        yield "no parameter gets a gradient from the loss"
    if not all(g.isfinite().all() for g in gradients):
        yield "the gradient of the loss is not finite"
