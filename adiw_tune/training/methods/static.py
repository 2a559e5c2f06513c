"""Static importance weighting: weights estimated once, from a pretrained network."""

from functools import partial

import torch
from torch import Tensor

from adiw_tune.divergences import make_divergence
from adiw_tune.tasks import Rows, Splits, in_order
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, Learner, represent
from adiw_tune.training.methods.base import Method, Step
from adiw_tune.weights import ImportanceWeighter


class Static(Method):
    """Weights by the network as the warm-up left it, never estimated again.

    Rows are matched to the reference rows a mini-batch at a time, in random groups, as the whole
    problem at once would need a kernel of the square of their number. As many steps are taken as
    in a mini-batch of ADIW: more would fit the sampling noise of the groups.

    Source: Huang et al., "Correcting sample selection bias by unlabeled data", NeurIPS 2007; in
    groups, Miao et al., "Ensemble kernel mean matching", ICDM 2015.
    """

    weights: Tensor

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.trusted = splits.reference
        self.register_buffer("weights", torch.ones(len(splits.train)))
        self._unweighed: Tensor | None = None

    def begin(self, learner: Learner) -> None:
        """Estimate the weights of all training rows."""
        config = self.config
        divergence = make_divergence(config.divergence, config.bandwidth)
        weighter = ImportanceWeighter(len(self.rows), divergence, config.solver())
        weighter = weighter.to(self.weights.device)
        target, seen = (self._passed(learner, rows) for rows in (self.trusted, self.rows))
        self.weights.copy_(
            learner.peers.once(partial(self._estimated, weighter, seen, target), like=self.weights)
        )
        self._unweighed = weighter.unweighed

    def _estimated(self, weighter: ImportanceWeighter, seen: Forward, target: Forward) -> Tensor:
        config, weights = self.config, torch.ones_like(self.weights)
        order = torch.randperm(
            len(self.rows), generator=torch.Generator().manual_seed(config.seed + 3)
        ).to(weights.device)
        for index in order.split(config.batch_size):
            points = represent(config.representation, seen.take(index), target)
            weights[index] = weighter(*points, index)
        return weights

    def _passed(self, learner: Learner, rows: Rows) -> Forward:
        kind = self.config.representation
        share = learner.peers.share(len(rows))
        # Only what is needed: all rows' features may not fit in memory.
        parts = [learner.evaluate(some).needed(kind) for some in in_order(rows, share)]
        return learner.gathered(Forward.joined(parts), len(rows), kind)

    def unweighed(self) -> int:
        """Of the groups of rows that ``begin`` went through."""
        return 0 if self._unweighed is None else int(self._unweighed)

    def weigh(self, step: Step) -> Tensor:
        """The weights that ``begin`` estimated."""
        return self.weights[step.index]
