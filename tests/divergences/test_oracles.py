"""Many steps of the solver reach what independent solvers find.

The measure throughout is (f(w) - f*) / (f(1) - f*): the share of the possible decrease that is
still missing.
"""

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from adiw_tune.divergences import KL, MMD, SquaredDistance, Wasserstein, WeightObjective
from adiw_tune.weights import FeasibleSet, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly

from .oracles import em_of_kl, gap_bound, lp_of_wasserstein, qp_of_mmd, qp_projection
from .problems import losses, random_weights

SIZES = [(24, 24), (32, 16), (16, 32)]
for_sizes = pytest.mark.parametrize(("n", "m"), SIZES)
for_caps = pytest.mark.parametrize("cap", [50.0, 2.0])  # never reached; reached


def missing(objective: WeightObjective, w: Tensor, best: Tensor) -> float:
    least = float(objective.value(best))
    return (float(objective.value(w)) - least) / (
        float(objective.value(torch.ones_like(w))) - least
    )


@for_sizes
@for_caps
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_exact_mmd_solver_agrees_with_scipy(n: int, m: int, cap: float, bandwidth: float) -> None:
    objective = MMD(bandwidth).prepare(*losses(n, n, m))
    w = solve_mmd_exactly(objective, FeasibleSet(cap))
    other = qp_of_mmd(objective.quadratic.numpy(), objective.linear.numpy(), cap)
    assert abs(missing(objective, w, torch.from_numpy(other))) < 1e-4
    gap = gap_bound(objective.gradient(w).numpy(), w.numpy(), cap)
    assert gap < 1e-4 * float(objective.value(torch.ones_like(w)) - objective.value(w))


@pytest.mark.parametrize(
    ("n", "m", "bandwidth", "steps"),
    [(24, 24, 0.3, 6000), (32, 16, 0.3, 6000), (16, 32, 0.3, 6000), (32, 16, 1.0, 20000)],
)
@for_caps
def test_mmd_steps_reach_the_exact_solution(
    n: int, m: int, cap: float, bandwidth: float, steps: int
) -> None:
    objective = MMD(bandwidth).prepare(*losses(n, n, m))
    exact = solve_mmd_exactly(objective, FeasibleSet(cap))
    w = WeightSolver(steps, 1.9, FeasibleSet(cap)).solve(objective, torch.ones_like(exact))
    assert -1e-4 < missing(objective, w, exact) < 1e-3


@for_sizes
@for_caps
def test_kl_steps_reach_the_solution_of_em(n: int, m: int, cap: float) -> None:
    objective = KL(0.3).prepare(*losses(n, n, m))
    em = torch.from_numpy(
        em_of_kl(objective.smoother.numpy(), objective.mass.numpy(), cap, iterations=2500)
    )
    one = torch.ones_like(em)
    assert abs(float(em.mean()) - 1) < 1e-9
    possible = float(objective.value(one) - objective.value(em))
    assert gap_bound(objective.gradient(em).numpy(), em.numpy(), cap) < 5e-4 * possible
    w = WeightSolver(6000, 1.0, FeasibleSet(cap)).solve(objective, one)
    assert -5e-4 < missing(objective, w, em) < 1e-3


@for_sizes
@for_caps
def test_one_full_step_solves_squared_distance(n: int, m: int, cap: float) -> None:
    objective = SquaredDistance().prepare(*losses(n, n, m))
    nearest = torch.from_numpy(qp_projection(objective.ratio.numpy(), cap))
    w = WeightSolver(1, 1.0, FeasibleSet(cap)).solve(objective, torch.ones_like(nearest))
    torch.testing.assert_close(w, nearest, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (30, 7), (7, 30), (1, 4), (4, 1)])
def test_wasserstein_value_is_the_distance_that_pot_finds(n: int, m: int) -> None:
    source, target = losses(n, n, m)
    pooled = torch.cat([source, target])
    objective = Wasserstein(smoothing=0).prepare(source, target)
    for w in random_weights(m, n, 10):
        expected = ot.wasserstein_1d(source.numpy(), target.numpy(), (w / w.sum()).numpy())
        found = float(objective.value(w) * (pooled.max() - pooled.min()))
        assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 12, 12), (1, 24, 8), (2, 16, 16), (3, 10, 30)])
def test_wasserstein_least_is_the_optimum_without_a_cap(seed: int, n: int, m: int) -> None:
    source, target = losses(seed, n, m)
    pooled = torch.cat([source, target])
    objective = Wasserstein(smoothing=0).prepare(source, target)
    distance, w = lp_of_wasserstein(source.numpy(), target.numpy(), cap=n)
    span = float(pooled.max() - pooled.min())
    assert float(objective.least) == pytest.approx(distance / span, rel=1e-9)
    assert float(objective.value(torch.from_numpy(w))) == pytest.approx(distance / span, rel=1e-9)


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 12, 12), (1, 12, 8), (2, 16, 16)])
@for_caps
def test_wasserstein_steps_reach_the_linear_programme(
    seed: int, n: int, m: int, cap: float
) -> None:
    # Where the cap binds, `least` lies below the optimum, Polyak's step is too long and stops
    # short of it; ever shorter steps close the gap, as for any subgradient method.
    source, target = losses(seed, n, m)
    objective = Wasserstein(smoothing=0).prepare(source, target)
    _, best = lp_of_wasserstein(source.numpy(), target.numpy(), cap)
    w = torch.ones_like(source)
    for size, steps in ((1.9, 5000), (0.5, 1000), (0.25, 1000), (0.1, 1000), (0.03, 1000)):
        w = WeightSolver(steps, size, FeasibleSet(cap)).solve(objective, w)
    assert -1e-9 < missing(objective, w, torch.from_numpy(best)) < 1e-3


@pytest.mark.parametrize("seed", range(4))
@for_caps
def test_wasserstein_stays_near_the_linear_programme_on_larger_batches(
    seed: int, cap: float
) -> None:
    # Subgradient steps are slow to the last digit: 2,000 of one size leave up to a few percent.
    source, target = losses(seed, 48, 48)
    objective = Wasserstein(smoothing=0).prepare(source, target)
    _, best = lp_of_wasserstein(source.numpy(), target.numpy(), cap)
    w = WeightSolver(2000, 1.0, FeasibleSet(cap)).solve(objective, torch.ones_like(source))
    assert -1e-9 < missing(objective, w, torch.from_numpy(best)) < 0.05


def test_smoothing_changes_the_value_by_at_most_half_of_itself() -> None:
    source, target = losses(6, 20, 20)
    sharp = Wasserstein(smoothing=0).prepare(source, target)
    for smoothing in (0.01, 0.1):
        rounded = Wasserstein(smoothing).prepare(source, target)
        for w in random_weights(7, 20, 20):
            excess = float(rounded.value(w) - sharp.value(w))
            assert -1e-12 <= excess <= smoothing / 2 + 1e-12


def test_gap_bound_is_zero_only_at_an_optimum() -> None:
    gradient, w = np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 1.0])
    assert gap_bound(gradient, w, cap=2.0) == 0
    assert gap_bound(gradient, np.ones(3), cap=2.0) == pytest.approx(1.0)
