"""The QP of the original DIW."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from adiw_tune.divergences import MMD, Energy, kernels
from adiw_tune.divergences.mmd import MMDObjective
from adiw_tune.weights import FeasibleSet, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly


def objective(
    seed: int, dtype: torch.dtype = torch.float64, divergence: MMD | Energy | None = None
) -> MMDObjective:
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(20, generator=generator, dtype=torch.float64).exp().to(dtype)
    target = torch.randn(15, generator=generator, dtype=torch.float64).mul(0.5).to(dtype)
    return (divergence or MMD(0.5)).prepare(source, target)


def least_by_scipy(problem: MMDObjective, feasible: FeasibleSet, ridge: float = 0.0) -> float:
    assert isinstance(problem.kernel, Tensor)
    quadratic, linear = problem.kernel.numpy() / 20, problem.mean_to_target.numpy()
    result = minimize(
        lambda w: w @ quadratic @ w / 2 - linear @ w + ridge / 2 * ((w - 1) ** 2).sum(),
        np.ones(20),
        jac=lambda w: quadratic @ w - linear + ridge * (w - 1),
        bounds=[(0, feasible.cap)] * 20,
        constraints=[
            {"type": "ineq", "fun": lambda w: 1 + feasible.slack - w.mean()},
            {"type": "ineq", "fun": lambda w: w.mean() - 1 + feasible.slack},
        ],
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    assert result.success, result.message
    return float(result.fun) / 20


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cap", [50.0, 1.5])
@pytest.mark.parametrize("slack", [0.0, 0.1, 0.5, 0.9])
def test_exact_weights_are_feasible_and_as_good_as_scipys(
    seed: int, cap: float, slack: float
) -> None:
    problem, feasible = objective(seed), FeasibleSet(cap, slack)
    w = solve_mmd_exactly(problem, feasible)
    assert w.min() >= 0
    assert w.max() <= cap
    assert abs(float(w.mean()) - 1) <= slack + 1e-9
    possible = float(problem.at(torch.ones_like(w)).value) - least_by_scipy(problem, feasible)
    assert float(problem.at(w).value) == pytest.approx(
        least_by_scipy(problem, feasible), abs=1e-4 * possible
    )


@pytest.mark.parametrize("divergence", [MMD(0.5), Energy()], ids=["mmd", "energy"])
@pytest.mark.parametrize("ridge", [0.001, 0.03, 1.0])
@pytest.mark.parametrize("slack", [0.0, 0.5])
def test_a_ridge_adds_the_mean_squared_distance_from_one(
    divergence: MMD | Energy, ridge: float, slack: float
) -> None:
    problem, feasible = objective(3, divergence=divergence), FeasibleSet(50.0, slack)

    def penalised(w: Tensor) -> float:
        return float(problem.at(w).value + ridge * (w - 1).square().mean() / 2)

    w = solve_mmd_exactly(problem, feasible, ridge)
    assert penalised(w) == pytest.approx(least_by_scipy(problem, feasible, ridge), abs=1e-7)
    assert float(w.std()) > 1e-4


def test_weights_come_to_one_as_the_ridge_grows() -> None:
    spread = [
        float(solve_mmd_exactly(objective(3), FeasibleSet(), ridge).std())
        for ridge in (0.0, 0.001, 0.01, 0.1, 1.0, 1e6)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 1e-5


@pytest.mark.parametrize("slack", [0.0, 0.5])
def test_few_steps_never_beat_the_exact_weights(slack: float) -> None:
    problem, feasible = objective(5), FeasibleSet(50.0, slack)
    exact = problem.at(solve_mmd_exactly(problem, feasible)).value
    one = torch.ones(20, dtype=torch.float64)
    for steps in (1, 5, 500):
        assert (
            problem.at(WeightSolver(steps, 1.0, feasible).solve(problem, one)).value > exact - 1e-7
        )


def test_a_wider_band_lowers_the_optimum() -> None:
    problem = objective(1)
    values = [
        float(problem.at(solve_mmd_exactly(problem, FeasibleSet(50.0, slack))).value)
        for slack in (0.0, 0.1, 0.9)
    ]
    assert values[0] >= values[1] - 1e-9
    assert values[1] >= values[2] - 1e-9
    assert values[0] > values[2]


def test_a_kernel_too_large_to_be_held_is_held_for_the_exact_solver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = solve_mmd_exactly(objective(2), FeasibleSet())
    monkeypatch.setattr(kernels, "HELD_ENTRIES", 100)
    torch.testing.assert_close(solve_mmd_exactly(objective(2), FeasibleSet()), expected)


def test_exact_weights_keep_the_losses_precision() -> None:
    w = solve_mmd_exactly(objective(2, torch.float32), FeasibleSet())
    assert w.dtype == torch.float32
    assert abs(float(w.mean()) - 1) < 1e-5


def test_losses_that_are_not_numbers_give_weights_that_are_not() -> None:
    source = torch.tensor([1.0, float("nan"), 2.0])
    w = solve_mmd_exactly(MMD().prepare(source, torch.ones(2)), FeasibleSet())
    assert w.isnan().all()
