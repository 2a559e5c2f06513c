"""What a method is: how a mini-batch of training rows becomes the loss that is descended."""

from dataclasses import dataclass

from torch import Tensor, nn

from adiw_tune.tasks import Rows, Split, Splits
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, Learner


@dataclass(frozen=True)
class Step:
    """One mini-batch in training, of which each peer has its share.

    Args:
        learner: the network in training, and the peers that train it.
        rows: this process's share of the mini-batch.
        index: [n], the numbers of all its rows.
        forward: what the network gave for ``rows``.
    """

    learner: Learner
    rows: Split
    index: Tensor
    forward: Forward

    def sum(self, part: Tensor) -> Tensor:
        """What this process's rows add to the sum over the mini-batch."""
        return self.learner.peers.own(part, len(self.index)).sum()

    def mean(self, part: Tensor) -> Tensor:
        """What they add to the mean over it."""
        return self.sum(part) / len(self.index)

    def share(self, w: Tensor) -> Tensor:
        """Those of the weights ``w``, [n], that are for ``rows``."""
        return w[self.learner.peers.share(len(self.index))]

    def seen(self, representation: str, reference: Split) -> tuple[Forward, Forward]:
        """What the network gives for the mini-batch and for ``reference``: for all rows of both."""
        learner = self.learner
        looked = learner.look(learner.share(reference), len(reference))
        return (
            learner.gathered(self.forward, len(self.index), representation),
            learner.gathered(looked, len(reference), representation),
        )


class Method(nn.Module):
    """All weights 1, which is empirical risk minimisation; other methods say how to ``weigh``.

    A module, so that ``.to(device)`` and ``state_dict()`` carry what it remembers. ``rows`` is
    what the network is fitted to.

    Of several peers the first holds what is remembered, by the number of a row, and estimates the
    weights of the whole mini-batch: one problem, as with one process. A mini-batch's loss is the
    sum of what all of them make of it.

    Args:
        config: the run's.
        splits: the run's, on the run's device.
    """

    rows: Rows

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__()
        self.config = config
        self.rows = splits.train

    def begin(self, learner: Learner) -> None:
        """Called once, after the warm-up epochs and before the first epoch that weighs."""

    def weigh(self, step: Step) -> Tensor | None:
        """The weights of the mini-batch: [n], without gradient; None for all 1."""
        return None

    def loss(self, step: Step) -> Tensor:
        """This process's part of what is descended: the weighted mean of the losses, a scalar."""
        w = self.weigh(step)
        losses = step.forward.losses
        return step.mean(losses if w is None else step.share(w) * losses)

    def warm_up_loss(self, step: Step) -> Tensor:
        """Its part of what is descended in the warm-up epochs."""
        return step.mean(step.forward.losses)

    def unweighed(self) -> int:
        """How many mini-batches had weights of 1 because a loss in them is NaN or infinite.

        Since the method was made. Asking waits for the device. A method that estimates no weights,
        or whose own become NaN then, has none: its training loss tells.
        """
        return 0

    def shares(self) -> dict[str, float]:
        """How much each divergence counts at present; empty where there is no choice of them."""
        return {}
