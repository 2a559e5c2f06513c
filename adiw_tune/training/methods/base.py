"""What a method is: how a mini-batch of training rows becomes the loss that is descended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from adiw_tune.tasks import Rows, Split, Splits
from adiw_tune.training.config import TrialConfig, default_reference_weight
from adiw_tune.training.learner import Forward, Learner
from adiw_tune.training.stream import BatchStream


@dataclass
class Step:
    """One mini-batch in training, of which each peer has its share.

    Args:
        learner: the network in training, and the peers that train it.
        rows: this process's share of the mini-batch.
        index: [n], the numbers of all its rows.
        forward: what the network gave for ``rows``.
        reference: what it gave for this process's share of a reference mini-batch; None until a
            method asks for one by :meth:`Method.look`.
        reference_size: rows of that mini-batch, of all peers.
        weights: [n], of the mini-batch's rows, as a method has estimated them; None for all 1.
    """

    learner: Learner
    rows: Split
    index: Tensor
    forward: Forward
    reference: Forward | None = None
    reference_size: int = 0
    weights: Tensor | None = None

    def sum(self, part: Tensor) -> Tensor:
        """What this process's rows add to the sum over the mini-batch."""
        return self.learner.peers.own(part, len(self.index)).sum()

    def mean(self, part: Tensor) -> Tensor:
        """What they add to the mean over it."""
        return self.sum(part) / len(self.index)

    def share(self, w: Tensor) -> Tensor:
        """Those of the weights ``w``, [n], that are for ``rows``."""
        return w[self.learner.peers.share(len(self.index))]

    @property
    def weighted_losses(self) -> Tensor:
        """Of ``rows``, each times its weight."""
        losses = self.forward.losses
        return losses if self.weights is None else self.share(self.weights) * losses

    def seen(self, representation: str, reference: Forward) -> tuple[Forward, Forward]:
        """What the network gave for the mini-batch and for ``reference``: for all rows of both."""
        learner = self.learner
        return (
            learner.gathered(self.forward, len(self.index), representation),
            learner.gathered(reference, self.reference_size, representation),
        )


class Method(nn.Module):
    """All weights 1, which is empirical risk minimisation; other methods say how to ``weigh``.

        loss = mean_i w_i ℓ_i + λ mean_j ℓ(v_j),   λ = config.reference_weight, or its default

    over the rows i of the mini-batch and j of a reference mini-batch. The latter is drawn, and
    passes through the network, once in a step: the pass that sets the weights is the one whose
    losses are descended.

    A module, so that ``.to(device)`` and ``state_dict()`` carry what it remembers. ``rows`` is
    what the network is fitted to; ``reference`` where reference mini-batches come from, None of a
    method that needs none.

    Of several peers the first holds what is remembered, by the number of a row, and estimates the
    weights of the whole mini-batch: one problem, as with one process. A mini-batch's loss is the
    sum of what all of them make of it.

    Args:
        config: the run's.
        splits: the run's, on the run's device.
    """

    rows: Rows
    estimates = False  # whether it sets weights by a reference mini-batch in each step

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__()
        self.config = config
        self.rows = splits.train
        given = config.reference_weight
        self.reference_weight = default_reference_weight(config.method) if given is None else given
        self.reference: BatchStream | None = None
        if self.estimates or self.reference_weight:
            size, seed = config.reference_batch_size, config.seed + 2
            self.reference = BatchStream(splits.reference, size, seed)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take up a state, also one whose reference stream an earlier version named otherwise."""
        now = {
            name.removeprefix("estimator.") if ".reference." in name else name: part
            for name, part in state_dict.items()
        }
        return super().load_state_dict(now, strict, assign)

    def begin(self, learner: Learner) -> None:
        """Called once, after the warm-up epochs and before the first epoch that weighs."""

    def weigh(self, step: Step) -> Tensor | None:
        """The weights of the mini-batch: [n], without gradient; None for all 1."""
        return None

    def look(self, step: Step) -> Forward:
        """What the network gives for this process's share of the step's reference mini-batch.

        With gradient if these rows are trained on, too.
        """
        if step.reference is None:
            assert self.reference is not None
            drawn, learner = self.reference.draw(), step.learner
            rows, trained = learner.share(drawn), self._looks_with_gradient
            step.reference = learner.look(rows, len(drawn), gradient=trained)
            step.reference_size = len(drawn)
        return step.reference

    @property
    def _looks_with_gradient(self) -> bool:
        return self.reference_weight > 0

    def loss(self, step: Step) -> Tensor:
        """This process's part of what is descended, a scalar."""
        weighted = self.weighted_loss(step)
        return weighted + self._reference_loss(step) if self.reference_weight else weighted

    def weighted_loss(self, step: Step) -> Tensor:
        """Its part of the weighted mean of the mini-batch's losses, a scalar."""
        step.weights = self.weigh(step)
        return step.mean(step.weighted_losses)

    def warm_up_loss(self, step: Step) -> Tensor:
        """Its part of what is descended in the warm-up epochs, where all weights are 1."""
        plain = self.plain_loss(step)
        return plain + self._reference_loss(step) if self.reference_weight else plain

    def plain_loss(self, step: Step) -> Tensor:
        """Its part of the mini-batch's loss with all weights 1, and no reference rows."""
        return step.mean(step.forward.losses)

    def _reference_loss(self, step: Step) -> Tensor:
        """Its part of λ times the mean loss of the reference mini-batch."""
        losses = step.learner.peers.own(self.look(step).losses, step.reference_size)
        return self.reference_weight * losses.sum() / step.reference_size

    def unweighed(self) -> int:
        """How many mini-batches had weights of 1 because a loss in them is NaN or infinite.

        Since the method was made. Asking waits for the device. A method that estimates no weights,
        or whose own become NaN then, has none: its training loss tells.
        """
        return 0

    def shares(self) -> dict[str, float]:
        """How much each divergence counts at present; empty where there is no choice of them."""
        return {}
