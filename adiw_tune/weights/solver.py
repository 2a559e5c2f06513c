"""A few projected-gradient steps from a given start: the accelerated part of ADIW."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences import WeightObjective
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, check_positive, check_whole, shown
from adiw_tune.weights.feasible import FeasibleSet

_MOST_STEPS = 1_000_000
_LEAST_STEP = 1e-6  # a shorter one leaves float32 weights as they are
_FULL_STEPS = 5  # of an objective that asks for diminishing ones: step t > 5 is 5/t as long


@dataclass(frozen=True)
class WeightSolver:
    """w <- project(w - η ∇f(w) / L(w)), ``steps`` times; the best w on the way is the answer.

    Step t is min(1, 5/t) times as long if the objective asks for diminishing steps (Wasserstein):
    where f has kinks its gradient does not vanish towards the optimum, and only ever shorter steps
    come to rest. They still add up to infinity, so that no start is too far away.

    The start is among the candidates, so f never increases, also where f has kinks (Wasserstein)
    or its curvature changes on the way (KL). The choice is made by ``torch.where`` on the device:
    nothing waits for the host.

    Args:
        steps: number of gradient steps, in [1, 10^6].
        step_size: η, dimensionless, in [1e-6, 2): 1 is the step 1/L(w), from 2 on gradient descent
            need not converge.
        feasible: the set projected onto.

    Source: Fang et al., "Accelerated dynamic importance weighting", arXiv 2605.25499; Shor,
    "Minimization methods for non-differentiable functions", 1985, for the shorter steps.
    """

    steps: int = 5
    step_size: float = 1.0
    feasible: FeasibleSet = FeasibleSet()

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1, _MOST_STEPS)
        check_number("step_size", self.step_size)
        if not 0 < self.step_size < 2:
            raise UserError(
                f"step_size must lie in (0, 2), 1 being 1/L; got {shown(self.step_size)}"
            )
        check_positive("step_size", self.step_size, _LEAST_STEP, 2)
        if not isinstance(self.feasible, FeasibleSet):
            raise UserError(
                "feasible must be a FeasibleSet, such as FeasibleSet(cap=50); "
                f"got {shown(self.feasible):.100}"
            )

    def solve(self, objective: WeightObjective, start: Tensor) -> Tensor:
        """The weights after ``steps`` steps from ``start``: [n] -> [n], feasible, same dtype.

        NaN if f is finite at none of the iterates, as where a loss is NaN.

        An objective of k functions side by side, whose ``at`` takes [k, n] and returns values and
        curvatures [k], is solved for all of them at once: [k, n] -> [k, n]. Its
        ``diminishing`` then has an entry for each.
        """
        diminishing = getattr(objective, "diminishing", False)
        w = best = self.feasible.project(start)
        lowest, gradient, curvature = objective.at(w)
        for step in range(1, self.steps + 1):
            length = self.step_size / _grown(curvature, diminishing, step / _FULL_STEPS)
            w = self.feasible.project(w - length.unsqueeze(-1) * gradient)
            value, gradient, curvature = objective.at(w)
            best = torch.where((value <= lowest).unsqueeze(-1), w, best)
            lowest = torch.minimum(value, lowest)
        return best.masked_fill(~lowest.isfinite().unsqueeze(-1), torch.nan)


def _grown(curvature: Tensor, diminishing: bool | Sequence[bool], growth: float) -> Tensor:
    """The curvature, times ``growth`` above 1 where steps are diminishing: a scalar or [k]."""
    if growth <= 1 or diminishing is False:
        return curvature
    if diminishing is True:
        return curvature * growth
    parts = zip(curvature, diminishing, strict=True)
    return torch.stack([_grown(one, shorter, growth) for one, shorter in parts])
