"""The network in training, and how mini-batches go through it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from adiw_tune.tasks import Network, Split


@dataclass(frozen=True)
class Forward:
    """What a network gave for some rows: features [n, ...], logits [n, classes], losses [n]."""

    features: Tensor
    logits: Tensor
    losses: Tensor
    labels: Tensor

    def split(self, size: int) -> "tuple[Forward, Forward]":
        """The first ``size`` rows, and the rest."""
        parts = (self.features, self.logits, self.losses, self.labels)
        return Forward(*(x[:size] for x in parts)), Forward(*(x[size:] for x in parts))


class Learner:
    """A network, the precision of its passes, and what changes inputs at random before them.

    Args:
        network: in training.
        precision: float32, or bfloat16 for autocast; losses are float32 either way.
        augment: the task's, or None.
    """

    def __init__(
        self,
        network: Network,
        precision: str = "float32",
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.network = network
        self.precision = precision
        self._augment = augment
        self._norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]

    def augmented(self, rows: Split) -> Split:
        """The rows with inputs changed at random, if the task does so."""
        if self._augment is None:
            return rows
        return replace(rows, inputs=self._augment(rows.inputs))

    def forward(self, rows: Split) -> Forward:
        """One pass with gradient, and the cross-entropy of each row."""
        with self.rounded(rows), self.lone_row_allowed(rows):
            features, logits = self.network.outputs(rows.inputs)
        logits = logits.float()
        losses = functional.cross_entropy(logits, rows.labels, reduction="none")
        return Forward(features, logits, losses, rows.labels)

    def rounded(self, rows: Split) -> AbstractContextManager[object]:
        """The precision asked for, in which every pass of the network is to run."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(rows.inputs.device.type, torch.bfloat16)

    @torch.no_grad()
    def look(self, rows: Split) -> Forward:
        """A pass like that of training rows, augmentation and batch statistics included.

        Without gradient, and without these rows entering the running statistics of batch norm.
        """
        with self.statistics_frozen():
            return self.forward(self.augmented(rows))

    @torch.no_grad()
    def evaluate(self, rows: Split) -> Forward:
        """A pass in evaluation mode."""
        training = self.network.training
        self.network.eval()
        try:
            return self.forward(rows)
        finally:
            self.network.train(training)

    @contextmanager
    def statistics_frozen(self) -> Iterator[None]:
        """Batch norm normalises by the mini-batch without remembering it."""
        tracking = [norm.track_running_stats for norm in self._norms]
        for norm in self._norms:
            norm.track_running_stats = False
        try:
            yield
        finally:
            for norm, tracked in zip(self._norms, tracking, strict=True):
                norm.track_running_stats = tracked

    @contextmanager
    def lone_row_allowed(self, rows: Split) -> Iterator[None]:
        """Batch norm of a single row goes by the running statistics: one value has no variance."""
        norms = [norm for norm in self._norms if norm.training and len(rows) == 1]
        for norm in norms:
            norm.eval()
        try:
            yield
        finally:
            for norm in norms:
                norm.train()


def represent(kind: str, source: Forward, target: Forward) -> tuple[Tensor, Tensor]:
    """What weights are estimated on: losses [n] and [m], or features with labels [n, d], [m, d].

    Features alone would match p(x) and could not tell a wrong label from a right one. So the
    one-hot label stands beside them, and the features are divided by the spread of the source's:
    two rows of one label are then about as far apart as two labels are.
    """
    if kind == "loss":
        return source.losses.detach(), target.losses.detach()
    z = _flat(source)
    spread = (z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt().clamp_min(1e-12)
    return _with_labels(source, spread), _with_labels(target, spread)


def _with_labels(rows: Forward, spread: Tensor) -> Tensor:
    one_hot = functional.one_hot(rows.labels, rows.logits.shape[1])
    return torch.cat([_flat(rows) / spread, one_hot], dim=1)


def _flat(rows: Forward) -> Tensor:
    """Features as float32, which weights computed from them then are too: [n, d]."""
    return rows.features.detach().flatten(1).float()
