"""Static importance weighting: weights estimated once, from a pretrained network."""

from dataclasses import replace

import torch
from torch import Tensor

from adiw_tune.divergences import make_divergence
from adiw_tune.tasks import Rows, Splits, in_order
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, Learner, represent
from adiw_tune.training.methods.base import Method, Step
from adiw_tune.weights import ImportanceWeighter, WeightSolver

_STEPS = 100  # they are taken once, so to convergence rather than few


class Static(Method):
    """Weights by the network as the warm-up left it, never estimated again.

    Rows are matched to the reference rows a mini-batch at a time, in random groups, as the whole
    problem at once would need a kernel of the square of their number.

    Source: Huang et al., "Correcting sample selection bias by unlabeled data", NeurIPS 2007; in
    groups, Miao et al., "Ensemble kernel mean matching", ICDM 2015.
    """

    weights: Tensor

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.reference = splits.reference
        self.register_buffer("weights", torch.ones(len(splits.train)))

    def begin(self, learner: Learner) -> None:
        """Estimate the weights of all training rows."""
        config = self.config
        solver = WeightSolver(_STEPS, config.step_size, config.solver().feasible)
        divergence = make_divergence(config.divergence, config.bandwidth)
        weighter = ImportanceWeighter(len(self.rows), divergence, solver).to(self.weights.device)
        target, seen = (self._passed(learner, rows) for rows in (self.reference, self.rows))
        order = torch.randperm(
            len(self.rows), generator=torch.Generator().manual_seed(config.seed + 3)
        ).to(self.weights.device)
        for index in order.split(config.batch_size):
            group = Forward(*(part[index] for part in _parts(seen)))
            self.weights[index] = weighter(*represent(config.representation, group, target), index)

    def _passed(self, learner: Learner, rows: Rows) -> Forward:
        forwards = [learner.evaluate(some) for some in in_order(rows)]
        if self.config.representation == "loss":  # all rows' features may not fit in memory
            forwards = [replace(f, features=f.losses, logits=f.losses) for f in forwards]
        return Forward(*(torch.cat(parts) for parts in zip(*map(_parts, forwards), strict=True)))

    def weigh(self, step: Step) -> Tensor:
        """The weights that ``begin`` estimated."""
        return self.weights[step.index]


def _parts(forward: Forward) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return forward.features, forward.logits, forward.losses, forward.labels
