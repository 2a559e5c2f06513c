"""Dynamic importance weighting: the matching problem solved to convergence in each mini-batch."""

import math
from functools import partial

import torch
from torch import Tensor

from adiw_tune.divergences.mmd import MMD
from adiw_tune.errors import UserError
from adiw_tune.tasks import Split, Splits, concatenated
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import represent
from adiw_tune.training.methods.base import Method, Step
from adiw_tune.weights import FeasibleSet
from adiw_tune.weights.exact import solve_mmd_exactly, solve_quadratic

# Of 0 to 0.1 the one nearest to known density ratios: benchmarks/known_ratios.py.
DEFAULT_RIDGE = 0.01


class Diw(Method):
    """ADIW's problem with mmd, plus a ridge, solved exactly; nothing remembered.

        argmin f(w) + λ mean((w - 1)²)/2 over the feasible set,   λ = config.ridge, 0.01 by default

    Bandwidth and feasible set are ADIW's. Few steps from w = 1 are regularised by stopping early;
    an exact solution needs a ridge instead, or it fits the sampling noise of each mini-batch.
    """

    estimates = True

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.divergence = MMD(config.bandwidth)
        self.feasible = config.solver().feasible
        self.ridge = DEFAULT_RIDGE if config.ridge is None else config.ridge

    def weigh(self, step: Step) -> Tensor:
        """argmin of the MMD and the ridge over the feasible set."""
        kind = self.config.representation
        source, target = step.seen(kind, self.look(step))

        @torch.no_grad()
        def solve() -> Tensor:
            objective = self.divergence.prepare(*represent(kind, source, target))
            return solve_mmd_exactly(objective, self.feasible, self.ridge)

        return step.learner.peers.once(solve, like=source.losses)


class PublishedDiw(Method):
    """DIW as its authors' code runs it.

    It differs from :class:`Diw` in all of this: the kernel is exp(-γ d²) with γ the 1% quantile of
    the pairwise distances of the training losses, where a width would be usual; the mean weight
    may be 1 ± (√n - 1)/√n; losses come from a pass of their own, in evaluation mode; the clean
    rows are put back among the training rows; and weighted losses are summed, not averaged. The
    quantile is taken without the published double loop, which changes no value.

    Source: Fang et al., "Rethinking importance weighting for deep learning under distribution
    shift", NeurIPS 2020, and the code released with it.
    """

    estimates = True

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        if not isinstance(splits.train, Split):
            raise UserError("method diw-published puts rows together: it needs them in memory")
        self.rows = concatenated(splits.train, splits.reference)

    @torch.no_grad()
    def weigh(self, step: Step) -> Tensor:
        """The published kernel mean matching."""
        learner, peers = step.learner, step.learner.peers
        assert self.reference is not None
        reference = self.reference.draw()
        part = learner.augmented(learner.share(reference))
        source = peers.gathered(learner.evaluate(step.rows).losses, len(step.index))
        target = peers.gathered(learner.evaluate(part).losses, len(reference))
        return peers.once(partial(published_weights, source, target), like=source)

    def weighted_loss(self, step: Step) -> Tensor:
        """The sum of the weighted losses."""
        step.weights = self.weigh(step)
        return step.sum(step.weighted_losses)

    def plain_loss(self, step: Step) -> Tensor:
        """The sum of the losses."""
        return step.sum(step.forward.losses)


def published_weights(source: Tensor, target: Tensor) -> Tensor:
    """Kernel mean matching of losses [n] to losses [m] as DIW's code does it: [n]."""
    n = len(source)
    z, v = source.double(), target.double()
    distances = (z.unsqueeze(1) - z).abs()
    above = torch.ones(n, n, dtype=torch.bool, device=z.device).triu(1)
    gamma = distances[above].quantile(0.01) if n > 1 else z.new_tensor(0.0)
    kernel = torch.exp(-gamma * distances.square())
    ridge = 1e-5 * torch.eye(n, dtype=z.dtype, device=z.device)
    across = torch.exp(-gamma * (z.unsqueeze(1) - v).square()).mean(dim=1)
    slack = (math.sqrt(n) - 1) / math.sqrt(n)
    w = solve_quadratic(kernel + ridge, n * across, FeasibleSet(50.0, slack))
    return w.to(source.dtype)
