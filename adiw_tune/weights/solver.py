"""A few projected-gradient steps from a given start: the accelerated part of ADIW."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences import WeightObjective
from adiw_tune.errors import UserError
from adiw_tune.weights.feasible import FeasibleSet


@dataclass(frozen=True)
class WeightSolver:
    """w <- project(w - η ∇f(w) / L(w)), ``steps`` times; the best w on the way is the answer.

    The start is among the candidates, so f never increases, also where f has kinks (Wasserstein)
    or its curvature changes on the way (KL). The choice is made by ``torch.where`` on the device:
    nothing waits for the host.

    Args:
        steps: number of gradient steps, at least 1.
        step_size: η, dimensionless, in (0, 2): 1 is the step 1/L(w), from 2 on gradient descent
            need not converge.
        feasible: the set projected onto.

    Source: Fang et al., "Accelerated dynamic importance weighting", arXiv 2605.25499.
    """

    steps: int = 5
    step_size: float = 1.0
    feasible: FeasibleSet = FeasibleSet()

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps must be at least 1; got {self.steps}")
        if not 0 < self.step_size < 2:
            raise UserError(f"step_size must lie in (0, 2), 1 being 1/L; got {self.step_size}")

    def solve(self, objective: WeightObjective, start: Tensor) -> Tensor:
        """The weights after ``steps`` steps from ``start``: [n] -> [n], feasible, same dtype.

        An objective of k functions side by side, whose ``at`` takes [k, n] and returns values and
        curvatures [k], is solved for all of them at once: [k, n] -> [k, n].
        """
        w = best = self.feasible.project(start)
        lowest, gradient, curvature = objective.at(w)
        for _ in range(self.steps):
            w = self.feasible.project(w - (self.step_size / curvature).unsqueeze(-1) * gradient)
            value, gradient, curvature = objective.at(w)
            best = torch.where((value <= lowest).unsqueeze(-1), w, best)
            lowest = torch.minimum(value, lowest)
        return best
