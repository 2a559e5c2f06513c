"""Where weights come from: training rows matched to reference rows, by what the network gives."""

from torch import Tensor, nn

from adiw_tune.divergences import make_divergence
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, represent
from adiw_tune.training.methods.base import Step
from adiw_tune.weights import ImportanceWeighter


class Estimator(nn.Module):
    """Weights of a mini-batch by a few steps on one divergence.

    Args:
        config: names divergence, solver, warm start and representation.
        train_size: number of training rows.
    """

    def __init__(self, config: TrialConfig, train_size: int) -> None:
        super().__init__()
        self.representation = config.representation
        divergence = make_divergence(config.divergence, config.bandwidth)
        self.weighter = ImportanceWeighter(
            train_size, divergence, config.solver(), config.retention, config.compiled
        )

    def forward(self, step: Step, reference: Forward) -> Tensor:
        """[n], mean 1 unless the configuration leaves slack."""
        source, target = step.seen(self.representation, reference)

        def weigh() -> Tensor:
            w: Tensor = self.weighter(*represent(self.representation, source, target), step.index)
            return w

        return step.learner.peers.once(weigh, like=source.losses)

    @property
    def unweighed(self) -> Tensor:
        """How many mini-batches had a loss that is no number: [], on the device."""
        return self.weighter.unweighed

    def shares(self) -> dict[str, float]:
        """Nothing to choose from."""
        return {}
