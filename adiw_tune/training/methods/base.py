"""What a method is: how a mini-batch of training rows becomes the loss that is descended."""

from dataclasses import dataclass

from torch import Tensor, nn

from adiw_tune.tasks import Rows, Split, Splits
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, Learner


@dataclass(frozen=True)
class Step:
    """One mini-batch in training: its rows, their numbers [n], and what the network gave."""

    learner: Learner
    rows: Split
    index: Tensor
    forward: Forward


class Method(nn.Module):
    """All weights 1, which is empirical risk minimisation; other methods say how to ``weigh``.

    A module, so that ``.to(device)`` and ``state_dict()`` carry what it remembers. ``rows`` is
    what the network is fitted to.

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
        """What is descended: the weighted mean of the losses, a scalar."""
        w = self.weigh(step)
        losses = step.forward.losses
        return losses.mean() if w is None else (w * losses).mean()

    def warm_up_loss(self, step: Step) -> Tensor:
        """What is descended in the warm-up epochs."""
        return step.forward.losses.mean()

    def shares(self) -> dict[str, float]:
        """How much each divergence counts at present; empty where there is no choice of them."""
        return {}
