"""The network in training, and how mini-batches go through it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from adiw_tune.errors import UserError
from adiw_tune.tasks import Network, Split
from adiw_tune.tasks.nests import Nest
from adiw_tune.tasks.targets import KINDS, Kind, RowLoss, spread
from adiw_tune.text import counted
from adiw_tune.training.kernels import fast_kernels
from adiw_tune.training.peers import Peers
from adiw_tune.training.user_code import in_user_code
from adiw_tune.user_file import why


@dataclass(frozen=True)
class Forward:
    """What a network gave for some rows of a kind of targets.

    Features [n, ...]; logits [n, classes], or outputs of another kind; losses [n]; labels [n, ...].
    """

    features: Tensor
    logits: Tensor
    losses: Tensor
    labels: Tensor
    kind: Kind = KINDS["classes"]

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What there is of each row."""
        return self.features, self.logits, self.losses, self.labels

    def take(self, index: Tensor | slice) -> "Forward":
        """The rows ``index``."""
        return self.of(part[index] for part in self.parts)

    def split(self, size: int) -> "tuple[Forward, Forward]":
        """The first ``size`` rows, and the rest."""
        return self.take(slice(size)), self.take(slice(size, None))

    def of(self, parts: Iterable[Tensor]) -> "Forward":
        """Other rows of the kind."""
        features, logits, losses, labels = parts
        return Forward(features, logits, losses, labels, self.kind)

    @classmethod
    def joined(cls, forwards: "list[Forward]") -> "Forward":
        """The rows of all these."""
        parts = zip(*(forward.parts for forward in forwards), strict=True)
        return forwards[0].of(torch.cat(some) for some in parts)

    def needed(self, representation: str) -> "Forward":
        """With nothing but the losses, if weights are estimated on these alone."""
        if representation == "feature":
            return self
        return self.of([self.losses] * len(self.parts))


class Learner:
    """A network, the precision of its passes, and what changes inputs at random before them.

    Args:
        network: in training.
        precision: float32, or bfloat16 for autocast; losses are float32 either way.
        augment: the task's, or None.
        peers: the processes that train it.
        kind: of the targets.
        loss: of outputs and targets, one a row; None for that of the kind.
        task: its name for errors; the path of a user's own task file.
    """

    def __init__(
        self,
        network: Network,
        precision: str = "float32",
        augment: Callable[[Nest], Nest] | None = None,
        peers: Peers | None = None,
        kind: Kind = KINDS["classes"],
        loss: RowLoss | None = None,
        task: str = "the task",
    ) -> None:
        self.network = network
        self.precision = precision
        self.peers = peers or Peers()
        self.kind = kind
        self.loss = loss or kind.losses
        self._augment = augment
        self._task = task
        self._norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]

    def augmented(self, rows: Split) -> Split:
        """The rows with inputs changed at random, if the task does so."""
        if self._augment is None:
            return rows
        with self.in_user_code("augment()", rows):
            return replace(rows, inputs=self._augment(rows.inputs))

    def share(self, rows: Split) -> Split:
        """This process's share of a mini-batch."""
        return rows if self.peers.size == 1 else rows.take(self.peers.share(len(rows)))

    def gathered(self, forward: Forward, n: int, representation: str) -> Forward:
        """What all peers have for their shares of ``n`` rows, as far as weights need it."""
        if self.peers.size == 1:
            return forward
        parts = forward.needed(representation).parts
        # As one tensor, since it is messages that take time. Classes below 2^24 are exact in it.
        columns = [part.detach().reshape(len(part), -1).float() for part in parts]
        whole = self.peers.gathered(torch.cat(columns, dim=1), n)
        gathered = whole.split([some.shape[1] for some in columns], dim=1)
        return forward.of(
            some.reshape(n, *part.shape[1:]).to(part.dtype)
            for some, part in zip(gathered, parts, strict=True)
        )

    def forward(self, rows: Split, n: int | None = None) -> Forward:
        """One pass with gradient, and the loss of each row.

        ``n`` tells of how many rows ``rows`` are this process's share; None: they are all.
        """
        n_rows = len(rows) if n is None else n
        with (
            self.rounded(rows),
            self.few_rows_allowed(n_rows),
            self.in_user_code("the network", rows),
        ):
            features, logits = self.network.outputs(rows.inputs)
        logits = logits.float()
        self.kind.check_outputs(logits, rows.labels)
        with self.in_user_code("the loss", rows):
            losses = self.loss(logits, rows.labels)
        if losses.shape != rows.labels.shape[:1]:
            raise UserError(
                f"the loss of task '{self._task}' gives {list(losses.shape)} for "
                f"{counted(len(rows), 'row')}: give one loss a row, [{len(rows)}]"
            )
        return Forward(features, logits, losses, rows.labels, self.kind)

    def outputs(self, rows: Split) -> Tensor:
        """What the network gives in the mode that it is in, in the precision asked for."""
        with self.rounded(rows), self.in_user_code("the network", rows):
            outputs: Tensor = self.network(rows.inputs)
        self.kind.check_outputs(outputs, rows.labels)
        return outputs

    @contextmanager
    def in_user_code(self, what: str, rows: Split) -> Iterator[None]:
        """Run a user's code on a mini-batch: what it raises is told in one line."""
        fails = (
            f"{what} of task '{self._task}' fails on a mini-batch of {counted(len(rows), 'row')}"
        )
        with in_user_code(lambda error: f"{fails}: {why(error, Path(self._task))}"):
            yield

    @contextmanager
    def rounded(self, rows: Split) -> Iterator[None]:
        """The precision asked for, in which every pass of the network is to run."""
        device = rows.labels.device
        with fast_kernels(device):
            if self.precision == "float32":
                yield
            else:
                with torch.autocast(device.type, torch.bfloat16):
                    yield

    def backward(self, loss: Tensor) -> None:
        """Gradients of ``loss``, by the kernels of the passes that it came from."""
        with fast_kernels(loss.device):
            loss.backward()

    def look(self, rows: Split, n: int | None = None, gradient: bool = False) -> Forward:
        """A pass like that of training rows, augmentation and batch statistics included.

        These rows do not enter the running statistics of batch norm. ``n`` as in ``forward``.
        """
        with torch.set_grad_enabled(gradient), self.statistics_frozen():
            return self.forward(self.augmented(rows), n)

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
    def few_rows_allowed(self, n: int) -> Iterator[None]:
        """Batch norm of a single row goes by the running statistics: one value has no variance.

        So does that of fewer rows than peers, whose stand-ins would count too.
        """
        few = n < max(2, self.peers.size)
        norms = [norm for norm in self._norms if norm.training and few]
        for norm in norms:
            norm.eval()
        try:
            yield
        finally:
            for norm in norms:
                norm.train()


def represent(kind: str, source: Forward, target: Forward) -> tuple[Tensor, Tensor]:
    """What weights are estimated on: losses [n] and [m], or features with labels [n, d], [m, d].

    Features alone would match p(x) and could not tell a wrong label from a right one. So the label
    stands beside them, in the way of its kind (a class as one-hot), and the features are divided by
    the spread of the source's: two rows of one label are then about as far apart as two labels are.
    """
    if kind == "loss":
        return source.losses.detach(), target.losses.detach()
    scale = spread(_flat(source))
    return _with_labels(source, source, scale), _with_labels(target, source, scale)


def _with_labels(rows: Forward, source: Forward, scale: Tensor) -> Tensor:
    assert rows.kind.beside is not None  # a task without it is refused before it is trained
    beside = rows.kind.beside(rows.labels, source.labels, rows.logits.shape[-1])
    return torch.cat([_flat(rows) / scale, beside], dim=1)


def _flat(rows: Forward) -> Tensor:
    """Features as float32, which weights computed from them then are too: [n, d]."""
    return rows.features.detach().flatten(1).float()
