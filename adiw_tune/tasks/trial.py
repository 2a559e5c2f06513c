"""A network tried on a few rows, before hours are spent on training it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.predictions import predictions_of, targets_of
from adiw_tune.tasks.rows import Split
from adiw_tune.tasks.splits import Splits
from adiw_tune.tasks.watched import Watched

_BATCH = 8  # rows that a network is tried on
# What bounds logits, as autograd calls it. Of log-softmax the cross-entropy is that of the logits.
_ENDINGS = {"SigmoidBackward0": "sigmoid", "TanhBackward0": "tanh", "ReluBackward0": "ReLU"}


@dataclass(frozen=True)
class Inspection:
    """What looking at a task came to.

    Args:
        problems: one line each; [] if all is well.
        summary: what is worth knowing, one line each.
        remarks: what training works with, and is probably a mistake, one line each.
    """

    problems: list[str]
    summary: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_network(
    task: Task, splits: Splits, name: str | None, features: bool = False
) -> list[str]:
    """Refuse a network that training cannot work with, after trying it on 8 training rows.

    Returns remarks, one line each.

    It is tried as :func:`check_task` does, on the CPU, and torch's global generator of the CPU is
    left as it is.

    Args:
        task: whose network it is.
        splits: of the task.
        name: a key of ``task.networks``; None takes the first.
        features: whether its features are to be used, for representation feature.
    """
    tried = try_network(task, splits, name or next(iter(task.networks)))
    problems = tried.problems + tried.summary * features
    if problems:
        raise UserError(f"{problems[0]}; run 'adiw-tune check-task {task.name}' for all problems")
    return tried.remarks


def try_network(task: Task, splits: Splits, name: str) -> Inspection:
    """What is wrong with one of the task's networks, and whether it has features."""
    index = torch.arange(min(_BATCH, len(splits.train)))
    rows = next(splits.train.batches([index])).to(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        fails = f"{name} fails on inputs {list(rows.inputs.shape)}"
        try:
            with told_as(lambda error: f"{fails}: {in_one_line(error)}"):
                network = task.network(splits, name)
                found = [*_shared(network, task.network(splits, name))]
                found = found or [*islice(_evaluation(network, rows, splits.classes), 1)]
                found = found or [*_training(network, rows, task.augment, splits.classes)]
                found = found or [*_own_metric(task, network, rows, splits)]
                summary = [] if found else [*_features(network, rows)]
                remarks = [] if found else [*_ending(network, rows)]
        except UserError as error:
            return Inspection([str(error)])
    lines = ([f"{name}: {line}" for line in some] for some in (found, summary, remarks))
    return Inspection(*lines)


def _shared(network: Network, another: Network) -> Iterator[str]:
    """Whether training one network would train the next. Frozen parameters may be common."""
    own, others = ({p for p in n.parameters() if p.requires_grad} for n in (network, another))
    if own & others:
        yield (
            "two calls share trainable parameters, so one run would go on from where another "
            "ended: make the network anew in each call"
        )


def _evaluation(network: Network, rows: Split, classes: int) -> Iterator[str]:
    """What is wrong in evaluation mode. What comes first may make the rest fail."""
    n = len(rows)
    network.eval()
    with torch.no_grad():
        logits, again = network(rows.inputs), network(rows.inputs)
    if told := _misshapen(logits, n, classes):
        yield f"{told} (is the number of classes right?)"
    if not logits.isfinite().all():
        yield "logits must be finite"
    if not torch.allclose(logits, again, rtol=1e-4, atol=1e-5):
        yield "the same rows give other logits the second time in evaluation mode"


def _misshapen(logits: object, n: int, classes: int) -> str | None:
    if isinstance(logits, Tensor) and logits.shape == (n, classes):
        return None
    got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    return f"logits of {n} rows must be [{n}, {classes}]; they are {got}"


def _own_metric(task: Task, network: Network, rows: Split, splits: Splits) -> Iterator[str]:
    """Whether the task's own metric has a value, of outputs that stand for those of select rows."""
    if task.own_metric is None or task.own_metric.compute is None:
        return
    network.eval()
    with torch.no_grad():
        outputs = network(rows.inputs)
    some = outputs[torch.arange(len(splits.select)) % len(outputs)]  # repeated, for so many rows
    value = task.own_metric.compute(predictions_of(targets_of(splits), some, splits.select))
    if not math.isfinite(value):
        yield (
            f"metric() gives {value} for the select rows' targets and outputs of this network: "
            "give a finite float"
        )


def _features(network: Network, rows: Split) -> Iterator[str]:
    """Why representation feature cannot be used; representation loss can all the same."""
    network.eval()
    with torch.no_grad():
        features, logits = network.outputs(rows.inputs)
    if isinstance(network, Watched) and features is logits:
        yield "no nn.Linear is called: only representation loss can be used"
    elif features.shape[0] != len(rows):
        yield (
            f"features of {len(rows)} rows are {list(features.shape)}: only representation loss "
            "can be used"
        )


def _ending(network: Network, rows: Split) -> Iterator[str]:
    """The activation that a network in training mode ends in, by values or by its graph."""
    network.train()
    logits = network(rows.inputs)
    last = _ENDINGS.get(logits.grad_fn.name()) if logits.grad_fn else None
    sums = (logits.sum(dim) for dim in (1, 0))  # over dim 0 as well: a softmax over the wrong axis
    if (logits >= 0).all() and any(torch.allclose(s, torch.ones_like(s), atol=1e-4) for s in sums):
        last = "softmax"
    if last:
        yield f"it ends in {last}: cross-entropy takes logits, so return what comes before {last}"


def _training(
    network: Network, rows: Split, augment: Callable[[Tensor], Tensor] | None, classes: int
) -> Iterator[str]:
    inputs = rows.inputs if augment is None else _augmented(augment, rows.inputs)
    network.train()
    logits = network(inputs)
    if told := _misshapen(logits, len(rows), classes):
        yield f"{told} in training mode"
        return
    loss = functional.cross_entropy(logits.float(), rows.labels)
    if not loss.requires_grad:
        yield "the loss has no gradient: are all parameters frozen?"
        return
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    if not any(g.any() for g in gradients):
        yield "no parameter gets a gradient from the loss"
    if not all(g.isfinite().all() for g in gradients):
        yield "the gradient of the loss is not finite"


def _augmented(augment: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    kind = f"{list(inputs.shape)} {inputs.dtype}"
    with told_as(lambda error: f"augment fails on inputs {kind}: {in_one_line(error)}"):
        changed: object = augment(inputs)
    if not isinstance(changed, Tensor):
        raise UserError(f"augment gives {type(changed).__name__} for inputs {kind}: give a tensor")
    if (changed.shape, changed.dtype) != (inputs.shape, inputs.dtype):
        raise UserError(
            f"augment makes {list(changed.shape)} {changed.dtype} of inputs {kind}: it must keep "
            "shape and dtype"
        )
    return changed
