"""The few-step solver."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from adiw_tune.divergences import DIVERGENCES, Local, WeightObjective, make_divergence
from adiw_tune.divergences.wasserstein import WassersteinObjective
from adiw_tune.errors import UserError
from adiw_tune.training.methods.auto import SideBySide
from adiw_tune.weights import FeasibleSet, WeightSolver


@dataclass(frozen=True)
class Bowl:
    """f(w) = ‖w - centre‖²/2, with a curvature ``overstated`` times too small."""

    centre: Tensor
    overstated: float = 1.0

    def at(self, w: Tensor) -> Local:
        away = w - self.centre
        return Local(away @ away / 2, away, w.new_tensor(1 / self.overstated))


@dataclass(frozen=True)
class Kinked(Bowl):
    """One that asks for diminishing steps."""

    diminishing: bool = True


def losses() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(40, generator=generator, dtype=torch.float64).exp(),
        torch.randn(30, generator=generator, dtype=torch.float64).mul(0.6).exp(),
    )


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("step_size", [0.01, 0.3, 1.0, 1.5, 1.99])
def test_more_steps_are_never_worse_at_any_step_size(name: str, step_size: float) -> None:
    objective = make_divergence(name).prepare(*losses())
    start = torch.ones(40, dtype=torch.float64)
    values = [float(objective.at(start).value)]
    values += [
        float(objective.at(WeightSolver(k, step_size).solve(objective, start)).value)
        for k in (1, 2, 3, 5, 8, 13, 30)
    ]
    assert all(later <= earlier for earlier, later in pairwise(values))
    assert values[-1] < values[0]


def test_one_full_step_lands_in_the_middle_of_a_bowl() -> None:
    centre = torch.tensor([0.5, 1.5, 1.0])
    w = WeightSolver(1, 1.0).solve(Bowl(centre), torch.ones(3))
    torch.testing.assert_close(w, centre)


def test_step_size_is_a_share_of_the_full_step() -> None:
    centre = torch.tensor([0.5, 1.5, 1.0])
    w = WeightSolver(1, 0.25).solve(Bowl(centre), torch.ones(3))
    torch.testing.assert_close(w, 1 + 0.25 * (centre - 1))


def test_steps_that_overshoot_fall_back_on_the_start() -> None:
    start = torch.tensor([0.9, 1.1, 1.0])
    objective = Bowl(torch.tensor([0.8, 1.2, 1.0]), overstated=100.0)
    assert torch.equal(WeightSolver(5, 1.0).solve(objective, start), start)


def test_there_are_no_weights_where_the_objective_is_no_number() -> None:
    w = WeightSolver().solve(Bowl(torch.tensor([0.5, torch.nan, 1.0])), torch.ones(3))
    assert w.isnan().all()


def test_an_infeasible_start_is_projected() -> None:
    feasible = FeasibleSet(cap=2.0)
    w = WeightSolver(1, 1.0, feasible).solve(Bowl(torch.ones(4)), torch.tensor([9.0, -1, 0, 0]))
    torch.testing.assert_close(w, torch.ones(4))


def test_the_start_is_not_written_to() -> None:
    start = torch.ones(40, dtype=torch.float64)
    WeightSolver().solve(make_divergence("mmd").prepare(*losses()), start)
    assert torch.equal(start, torch.ones(40, dtype=torch.float64))


def test_continuing_from_the_answer_is_like_never_having_stopped() -> None:
    objective = make_divergence("mmd").prepare(*losses())
    start = torch.ones(40, dtype=torch.float64)
    half = WeightSolver(4).solve(objective, start)
    torch.testing.assert_close(
        WeightSolver(4).solve(objective, half), WeightSolver(8).solve(objective, start)
    )


@pytest.mark.parametrize("steps", [0, -3])
def test_fewer_than_one_step_is_refused(steps: int) -> None:
    with pytest.raises(UserError, match="steps must be at least 1; got"):
        WeightSolver(steps=steps)


@pytest.mark.parametrize("step_size", [0.0, -0.5, 2.0, float("nan")])
def test_step_size_out_of_range_is_refused(step_size: float) -> None:
    with pytest.raises(UserError, match=r"step_size must lie in \(0, 2\)"):
        WeightSolver(step_size=step_size)


def full_steps(objective: WeightObjective, start: Tensor, steps: int) -> Tensor:
    """The solver as its formula has it, with no step shortened."""
    w = best = FeasibleSet().project(start)
    for _ in range(steps):
        _, gradient, curvature = objective.at(w)
        w = FeasibleSet().project(w - (1 / curvature) * gradient)
        best = w if objective.at(w).value <= objective.at(best).value else best
    return best


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_first_five_steps_are_whole_and_later_ones_shorter_for_wasserstein(name: str) -> None:
    objective = make_divergence(name).prepare(*losses())
    one = torch.ones(40, dtype=torch.float64)
    for steps in (1, 3, 5):
        assert torch.equal(
            WeightSolver(steps).solve(objective, one), full_steps(objective, one, steps)
        )
    nine = WeightSolver(9).solve(objective, one), full_steps(objective, one, 9)
    assert torch.equal(*nine) == (name != "wasserstein")


def test_the_sixth_step_of_an_objective_with_kinks_is_five_sixths_as_long() -> None:
    bowl, far = Kinked(torch.tensor([1.4, 0.8, 0.8])), torch.tensor([3.0, 0.0, 0.0])
    left = (1 - 0.1) ** 5 * (1 - 0.1 * 5 / 6) * (1 - 0.1 * 5 / 7)  # of the distance
    expected = bowl.centre + left * (far - bowl.centre)
    torch.testing.assert_close(WeightSolver(7, 0.1).solve(bowl, far), expected)


def test_functions_side_by_side_have_the_steps_that_each_has_alone() -> None:
    objectives = [make_divergence(name).prepare(*losses()) for name in ("mmd", "wasserstein", "kl")]
    one = torch.ones(40, dtype=torch.float64)
    together = WeightSolver(20).solve(SideBySide(objectives), one.expand(3, 40))
    for w, objective in zip(together, objectives, strict=True):
        torch.testing.assert_close(w, WeightSolver(20).solve(objective, one))


@pytest.mark.parametrize("seed", range(3))
def test_wasserstein_comes_to_rest(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randn(2, 64, generator=generator, dtype=torch.float64).exp()
    objective = make_divergence("wasserstein").prepare(source, target * 0.5)
    w = WeightSolver(1000).solve(objective, torch.ones(64, dtype=torch.float64))
    # One more step, as long as the smoothed function's largest curvature allows.
    gradient = objective.at(w).gradient
    moved = FeasibleSet().project(w - gradient / smoothed_curvature(objective, 64))
    assert float((moved - w).square().mean().sqrt()) < 1e-3


def smoothed_curvature(objective: WeightObjective, n: int) -> float:
    """The Hessian of f is Σ_q gap_q d_q d_q'/s where no |D_q| exceeds s; d_q = ∂D_q/∂w."""
    assert isinstance(objective, WassersteinObjective)
    unit = torch.eye(n, dtype=torch.float64)
    m = objective.order.shape[1] - n
    mass = torch.cat([unit / n, (-unit.mean(dim=1, keepdim=True) / m).expand(n, m)], dim=1)
    slopes = mass[:, objective.order[0]].cumsum(dim=1)[:, :-1]
    hessian = (slopes * objective.gaps[0]) @ slopes.T / objective.smoothing
    centring = unit - 1 / n
    return float(torch.linalg.eigvalsh(centring @ hessian @ centring)[-1])
