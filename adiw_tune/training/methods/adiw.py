"""Accelerated dynamic importance weighting, and its control with weights dealt out at random."""

from functools import partial

import torch
from torch import Tensor

from adiw_tune.tasks import Splits
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.methods.auto import AutoEstimator
from adiw_tune.training.methods.base import Method, Step
from adiw_tune.training.methods.estimator import Estimator


def make_estimator(config: TrialConfig, splits: Splits) -> Estimator | AutoEstimator:
    """Of one divergence, or of several where ``config.divergence`` is auto."""
    kind = AutoEstimator if config.divergence == "auto" else Estimator
    return kind(config, len(splits.train))


class Adiw(Method):
    """Weights by a few projected-gradient steps in each mini-batch.

    Source: Fang et al., "Accelerated dynamic importance weighting", arXiv 2605.25499.
    """

    estimates = True

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.estimator = make_estimator(config, splits)

    def weigh(self, step: Step) -> Tensor:
        """The estimator's weights."""
        w: Tensor = self.estimator(step, self.look(step))
        return w

    def unweighed(self) -> int:
        """Of the estimator."""
        return int(self.estimator.unweighed)

    def shares(self) -> dict[str, float]:
        """The estimator's."""
        return self.estimator.shares()


class Random(Adiw):
    """ADIW's own weights, dealt to the rows of the mini-batch at random.

    The same marginal distribution of weights with nothing to say about which row deserves which:
    what is left of ADIW's gain here is no merit of its weights.
    """

    def weigh(self, step: Step) -> Tensor:
        """A random permutation of the estimator's weights, drawn on the device."""
        w = super().weigh(step)
        order = partial(torch.randperm, len(w), device=w.device)
        return w[step.learner.peers.once(order, like=step.index)]
