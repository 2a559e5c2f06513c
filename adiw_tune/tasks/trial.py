"""A network tried on a few rows, before hours are spent on training it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.broadcasting import broadcasts
from adiw_tune.tasks.nests import Nest, leaves, mapped, named, shapes
from adiw_tune.tasks.predictions import predictions_of
from adiw_tune.tasks.rows import Split
from adiw_tune.tasks.splits import Splits
from adiw_tune.tasks.targets import KINDS, Kind, row_loss
from adiw_tune.tasks.watched import Watched

_BATCH = 8  # rows that a network is tried on
# What bounds logits, as autograd calls it. Of log-softmax the cross-entropy is that of the logits.
_ENDINGS = {"SigmoidBackward0": "sigmoid", "TanhBackward0": "tanh", "ReluBackward0": "ReLU"}
_TAKE_LOGITS = {"classes": "cross-entropy", "binary": "binary cross-entropy"}


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
    task: Task,
    splits: Splits,
    name: str | None,
    features: bool = False,
    settings: Mapping[str, Any] | None = None,
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
        settings: that it is called with.
    """
    tried = try_network(task, splits, name or next(iter(task.networks)), settings)
    problems = tried.problems + tried.summary * features
    if problems:
        raise UserError(f"{problems[0]}; run 'adiw-tune check-task {task.name}' for all problems")
    return tried.remarks


def try_network(
    task: Task, splits: Splits, name: str, settings: Mapping[str, Any] | None = None
) -> Inspection:
    """What is wrong with one of the task's networks, and whether it has features."""
    index = torch.arange(min(_BATCH, len(splits.train)))
    rows = next(splits.train.batches([index])).to(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        fails = f"{name} fails on {shapes(rows.inputs)}"
        try:
            with told_as(lambda error: f"{fails}: {in_one_line(error)}{_hint(rows.inputs)}"):
                network = task.network(splits, name, settings)
                trial = _Trial(task, splits, network, rows)
                found = [*_shared(network, task.network(splits, name, settings))]
                found = found or [*islice(trial.evaluation(), 1)]
                found = found or [*trial.training()]
                found = found or [*trial.own_metric()]
                summary = [] if found else [*trial.features()]
                remarks = [] if found else [*trial.ending(), *trial.one_row()]
        except UserError as error:
            return Inspection([str(error)])
    lines = ([f"{name}: {line}" for line in some] for some in (found, summary, remarks))
    return Inspection(*lines)


def _hint(inputs: Nest) -> str:
    """What a network that fails on them may want."""
    other = [x.dtype for x in leaves(inputs) if x.is_floating_point() and x.dtype != torch.float32]
    return f" ({other[0]}: most networks take float32)" if other else ""


def _shared(network: Network, another: Network) -> Iterator[str]:
    """Whether training one network would train the next. Frozen parameters may be common."""
    own, others = ({p for p in n.parameters() if p.requires_grad} for n in (network, another))
    if own & others:
        yield (
            "two calls share trainable parameters, so one run would go on from where another "
            "ended: make the network anew in each call"
        )


@dataclass(frozen=True)
class _Trial:
    """A network and the rows that it is tried on."""

    task: Task
    splits: Splits
    network: Network
    rows: Split

    @property
    def kind(self) -> Kind:
        return KINDS[self.splits.targets]

    def evaluation(self) -> Iterator[str]:
        """What is wrong in evaluation mode. What comes first may make the rest fail."""
        self.network.eval()
        with torch.no_grad():
            outputs, again = self.network(self.rows.inputs), self.network(self.rows.inputs)
        if told := self._misshapen(outputs):
            yield told + self._hint(outputs)
        if not outputs.isfinite().all():
            yield f"{self._outputs} must be finite"
        if not torch.allclose(outputs, again, rtol=1e-4, atol=1e-5):
            yield f"the same rows give other {self._outputs} the second time in evaluation mode"

    def training(self) -> Iterator[str]:
        """What is wrong in training mode."""
        augment, inputs = self.task.augment, self.rows.inputs
        if augment is not None:
            inputs, again = (_with_seed_0(augment, inputs) for _ in range(2))
            if not all(map(_same, leaves(inputs), leaves(again))):
                yield (
                    "augment() gives other inputs with the same seed, so no run can be repeated: "
                    "draw random numbers with torch, and with torch a seed for NumPy or random"
                )
                return
        self.network.train()
        outputs = self.network(inputs)
        if told := self._misshapen(outputs):
            yield f"{told} in training mode"
            return
        losses = self._losses(outputs.float())
        if not losses.requires_grad:
            yield "the loss has no gradient: are all parameters frozen?"
            return
        losses.mean().backward()
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if not any(g.any() for g in gradients):
            yield "no parameter gets a gradient from the loss"
        if not all(g.isfinite().all() for g in gradients):
            yield "the gradient of the loss is not finite"

    def own_metric(self) -> Iterator[str]:
        """Whether the task's own metric gives a value, by targets of its rows and stand-in outputs.

        The test rows' targets are tried too, so that a search can be finalized. The outputs are not
        of their inputs, so this is no reading of the test split.
        """
        own = self.task.own_metric
        if own is None or own.compute is None:
            return
        self.network.eval()
        with torch.no_grad():
            outputs = self.network(self.rows.inputs)
        for role, rows in (("select", self.splits.select), ("test", self.splits.test)):
            some = outputs[torch.arange(len(rows)) % len(outputs)]  # repeated, for so many rows
            those = f"the {role} rows' targets and outputs of this network"
            try:
                value = own.compute(predictions_of(self.splits.targets, some, rows))
            except UserError as error:
                yield f"for {those}, {error}"
                return
            if not math.isfinite(value):
                yield f"metric() gives {value} for {those}: give a finite float"
                return

    def features(self) -> Iterator[str]:
        """Why representation feature cannot be used; representation loss can all the same."""
        only = "only representation loss can be used"
        self.network.eval()
        with torch.no_grad():
            features, outputs = self.network.outputs(self.rows.inputs)
        shape, n = list(features.shape), len(self.rows)
        if isinstance(self.network, Watched) and features is outputs:
            yield f"no nn.Linear is called: {only}"
        elif features.shape[0] != n or (self.splits.train.collated and features.ndim != 2):
            yield f"features of {n} rows are {shape}: {only}"
        elif self.kind.beside is None:
            yield f"weights on features need the targets, which only loss() can read: {only}"

    def ending(self) -> Iterator[str]:
        """The activation that a network in training mode ends in, by values or by its graph."""
        if self.splits.targets not in _TAKE_LOGITS or self.task.loss is not None:
            return
        self.network.train()
        logits = self.network(self.rows.inputs)
        last = _ENDINGS.get(logits.grad_fn.name()) if logits.grad_fn else None
        if self.splits.targets == "classes" and _is_softmax(logits):
            last = "softmax"
        if last:
            entropy = _TAKE_LOGITS[self.splits.targets]
            yield f"it ends in {last}: {entropy} takes logits, so return what comes before {last}"

    def one_row(self) -> Iterator[str]:
        """Whether the network fails on one row, which the last mini-batch may have."""
        self.network.eval()
        row = self.rows.take(torch.zeros(1, dtype=torch.int64))
        try:
            with torch.no_grad():
                self.kind.check_outputs(self.network(row.inputs), row.labels)
        except Exception as error:  # whatever the user's code raises
            why = str(error) if isinstance(error, UserError) else in_one_line(error)
            yield f"it fails on one row, which the last mini-batch may have ({why})"

    def _losses(self, outputs: Tensor) -> Tensor:
        n, labels = len(self.rows), self.rows.labels
        told = f"outputs {list(outputs.shape)} and targets {list(labels.shape)} {labels.dtype}"
        with told_as(lambda error: f"loss fails on {told}: {in_one_line(error)}"):
            loss = row_loss(self.splits.targets, self.task.loss)
            losses: object = loss(outputs, labels)
        if not isinstance(losses, Tensor) or losses.shape != (n,):
            got = list(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise UserError(f"loss gives {got} for {n} rows: give one loss a row, [{n}]")
        with told_as(lambda error: f"loss fails on {told}: {in_one_line(error)}"):
            mixed = self.kind.in_columns and broadcasts(
                loss, outputs, labels, self.splits.targets == "binary"
            )
        if mixed:
            raise UserError(
                f"{told} broadcast against each other in loss(), so that the loss of a row depends "
                "on other rows: use outputs.reshape(targets.shape) there"
            )
        return losses

    def _misshapen(self, outputs: object) -> str | None:
        n, right = len(self.rows), self.kind.shapes(self.rows.labels, self.splits.classes)
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else []
        if shape in right or (shape[:1] == [n] and not right):
            return None
        must = " or ".join(map(str, right)) or f"[{n}, ...]"
        are = shape if isinstance(outputs, Tensor) else type(outputs).__name__
        return f"{self._outputs} of {n} rows must be {must}; they are {are}"

    def _hint(self, outputs: object) -> str:
        if self.task.loss is not None and self.splits.targets != "own":
            return ' (TARGETS = "own" leaves them to the loss)'
        if self.splits.targets != "classes":
            return ""
        one_logit = isinstance(outputs, Tensor) and outputs.numel() == len(self.rows)
        if one_logit and self.splits.classes == 2:
            return ' (for one logit a row and labels 0 and 1, set TARGETS = "binary")'
        if one_logit and self.splits.classes > 2:
            return " (is the number of classes right? give real values as floats)"
        return " (is the number of classes right?)"

    @property
    def _outputs(self) -> str:
        return "logits" if self.splits.targets in _TAKE_LOGITS else "outputs"


def _is_softmax(logits: Tensor) -> bool:
    sums = (logits.sum(dim) for dim in (1, 0))  # over dim 0 as well: a softmax over the wrong axis
    return bool((logits >= 0).all()) and any(
        torch.allclose(s, torch.ones_like(s), atol=1e-4) for s in sums
    )


def _with_seed_0(augment: Callable[[Nest], Nest], inputs: Nest) -> Nest:
    """Copies of ``inputs``, which it may change in place, augmented."""
    torch.default_generator.manual_seed(0)  # not the GPUs', which nobody would put back
    return _augmented(augment, mapped(Tensor.clone, inputs))


def _same(x: Tensor, other: Tensor) -> bool:
    return torch.allclose(x, other, equal_nan=True)


def _augmented(augment: Callable[[Nest], Nest], inputs: Nest) -> Nest:
    kind = shapes(inputs)
    with told_as(lambda error: f"augment fails on {kind}: {in_one_line(error)}"):
        changed = augment(inputs)
    if others := [x for _, x in named(changed) if not isinstance(x, Tensor)]:
        raise UserError(f"augment gives {type(others[0]).__name__} for {kind}: give a tensor")
    if shapes(changed) != kind:
        raise UserError(f"augment makes {shapes(changed)} of {kind}: it must keep shape and dtype")
    return changed
