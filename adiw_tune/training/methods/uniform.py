"""Training with all weights 1: on the training rows, or on the reference rows alone."""

from adiw_tune.tasks import Splits
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.methods.base import Method


class CleanOnly(Method):
    """Trained on the reference rows alone, with as many updates as any other method."""

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.rows = splits.reference
