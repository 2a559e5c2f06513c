"""The divergence chosen while training, by what helps reference rows held out for it."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from adiw_tune.divergences import Energy, Local, WeightObjective, make_divergence
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Forward, represent
from adiw_tune.training.methods.base import Step
from adiw_tune.weights import WeightMemory
from adiw_tune.weights.compiled import Compiled
from adiw_tune.weights.weighter import finite_or_one

# One of each kind: kernel means, a density ratio, transport. A second of a kind costs time and
# gives much the same weights.
CANDIDATES = ("mmd", "pearson", "wasserstein")
_HELD_OUT = 0.25  # share of each reference mini-batch
_RATE = 2.0  # how strongly shares follow the gains
_FORGETTING = 0.99  # of past gains per mini-batch: what helps changes as the network learns


class AutoEstimator(nn.Module):
    """A mixture of the divergences' weights, with shares learnt from held-out reference rows.

    Each divergence k gives weights w^k of the same mini-batch, and the network is trained on
    w = Σ_k p_k w^k. The gain of k is how much nearer its weights bring the mini-batch to held-out
    reference rows than no weights do, by a distance that is none of theirs, times the share of the
    rows that they leave in effect: spiky weights match well and train badly.

        g_k = (E(1) - E(w^k)) mean(w^k)² / mean((w^k)²)

    E is the energy distance of the weighted rows to the held-out ones, and a loss is not made
    smaller by the second factor. Shares are multiplicative weights of the gains with forgetting,
    in units of the largest:

        G <- φ G + (1 - φ) g,   p = softmax(η G / max_l |G_l|).

    η = 2 leaves a divergence that gains nothing e^-2 of the best one's share: the mixture itself
    is what protects from a bad choice, and the shares lean towards what helps.

    Of each reference mini-batch a quarter is held out for the gains, and weights are estimated on
    the others: no row serves both in one mini-batch, all rows serve both in time, and no more
    rows pass through the network than with one divergence.

    Args:
        config: names solver, warm start and representation, for all divergences alike.
        train_size: number of training rows.

    Source: Freund, Schapire, "A decision-theoretic generalization of on-line learning", 1997, for
    the multiplicative weights; Székely, Rizzo, "Energy statistics", 2013, for the distance; Kish,
    "Survey sampling", 1965, for the effective sample size.
    """

    gains: Tensor
    unweighed: Tensor

    def __init__(self, config: TrialConfig, train_size: int) -> None:
        super().__init__()
        self.representation = config.representation
        self.solver = config.solver()
        self._estimate = Compiled(self._solve) if config.compiled else self._solve
        self.divergences = {name: make_divergence(name) for name in CANDIDATES}
        self.memories = nn.ModuleDict(
            {name: WeightMemory(train_size, config.retention) for name in CANDIDATES}
        )
        self.register_buffer("gains", torch.zeros(len(CANDIDATES)))
        # As the weighter's.
        self.register_buffer("unweighed", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, step: Step, reference: Forward) -> Tensor:
        """The mixture's weights: [n]."""
        source, whole = step.seen(self.representation, reference)
        mixture = partial(self._mixture, source, whole, step.index)
        return step.learner.peers.once(mixture, like=source.losses)

    def _mixture(self, source: Forward, reference: Forward, index: Tensor) -> Tensor:
        target, judge = divided(reference)
        w = self._candidates(*represent(self.representation, source, target), index)
        shares = self._shares()
        self._learn(w, *represent(self.representation, source, judge))
        return shares @ w

    @torch.no_grad()
    def _candidates(self, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Each divergence's weights: [k, n]."""
        memories = [memory for memory in self.memories.values() if isinstance(memory, WeightMemory)]
        start = torch.stack([memory.read(index) for memory in memories]).to(source.dtype)
        w, failed = finite_or_one(self._estimate(source, target, start), source, target)
        self.unweighed.add_(failed)
        for memory, row in zip(memories, w, strict=True):
            memory.write(index, row)
        return w

    def _solve(self, source: Tensor, target: Tensor, start: Tensor) -> Tensor:
        objectives = [one.prepare(source, target) for one in self.divergences.values()]
        return self.solver.solve(SideBySide(objectives), start)

    @torch.no_grad()
    def _learn(self, w: Tensor, source: Tensor, held_out: Tensor) -> None:
        distance = Energy().prepare(source, held_out)
        unweighted = distance.at(torch.ones_like(w[0])).value
        gains = torch.stack([unweighted - distance.at(some).value for some in w])
        gains = torch.minimum(gains, gains * effective_share(w))
        gains = gains.nan_to_num(0, 0, 0)  # losses that are no numbers tell of no divergence
        self.gains.mul_(_FORGETTING).add_((1 - _FORGETTING) * gains)

    def _shares(self) -> Tensor:
        largest = self.gains.abs().max().clamp_min(torch.finfo(self.gains.dtype).tiny)
        return torch.softmax(_RATE * self.gains / largest, dim=0)

    def shares(self) -> dict[str, float]:
        """Share of each divergence in the mixture, adding up to 1."""
        return dict(zip(CANDIDATES, self._shares().tolist(), strict=True))


def effective_share(w: Tensor) -> Tensor:
    """mean(w)² / mean(w²), in [1/n, 1]: the effective sample size by n; [k, n] -> [k]."""
    return w.mean(dim=1).square() / w.square().mean(dim=1)


def divided(reference: Forward) -> tuple[Forward, Forward]:
    """The rows to match and those held out; a lone row has to serve for both."""
    n = len(reference.labels)
    if n == 1:
        return reference, reference
    return reference.split(n - max(1, round(_HELD_OUT * n)))


@dataclass(frozen=True)
class SideBySide:
    """Several objectives of the same rows, to be solved at once: their projections cost one."""

    objectives: list[WeightObjective]

    @property
    def diminishing(self) -> list[bool]:
        """Which of them ask for diminishing steps."""
        return [getattr(one, "diminishing", False) for one in self.objectives]

    def at(self, w: Tensor) -> Local:
        """Each at its row of w: [k, n]; values [k], gradients [k, n], curvatures [k]."""
        parts = (one.at(row) for one, row in zip(self.objectives, w, strict=True))
        return Local(*(torch.stack(part) for part in zip(*parts, strict=True)))
