"""Many steps of the solver reach what independent solvers find.

The measure throughout is (f(w) - f*) / (f(1) - f*): the share of the possible decrease that is
still missing.
"""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance
from torch import Tensor

from adiw_tune.divergences import (
    KL,
    MMD,
    Energy,
    Pearson,
    SquaredDistance,
    Wasserstein,
    WeightObjective,
)
from adiw_tune.divergences.wasserstein import fixed_directions
from adiw_tune.weights import FeasibleSet, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly

from .oracles import em_of_kl, gap_bound, lp_of_slices, lp_of_wasserstein, qp_of_mmd, qp_projection
from .problems import features, losses, random_weights

ot = pytest.importorskip("ot")  # not where GPUs are
SIZES = [(24, 24), (32, 16), (16, 32)]
for_sizes = pytest.mark.parametrize(("n", "m"), SIZES)
CAPS = [50.0, 2.0]  # never reached; reached
for_caps = pytest.mark.parametrize("cap", CAPS)


def each_size_cap_with(name: str, values: Sequence[object]) -> pytest.MarkDecorator:
    """Each size with each cap, and the ``values`` in turn: each of them with each cap."""
    both = [(n, m, cap) for n, m in SIZES for cap in CAPS]
    turns = [values[(i // 2 + i % 2) % len(values)] for i in range(len(both))]
    combined = [(*these, value) for these, value in zip(both, turns, strict=True)]
    return pytest.mark.parametrize(("n", "m", "cap", name), combined)


def missing(objective: WeightObjective, w: Tensor, best: Tensor) -> float:
    least = float(objective.at(best).value)
    return (float(objective.at(w).value) - least) / (
        float(objective.at(torch.ones_like(w)).value) - least
    )


@for_sizes
@for_caps
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_exact_mmd_solver_agrees_with_scipy(n: int, m: int, cap: float, bandwidth: float) -> None:
    objective = MMD(bandwidth).prepare(*losses(n, n, m))
    w = solve_mmd_exactly(objective, FeasibleSet(cap))
    assert isinstance(objective.kernel, Tensor)
    other = qp_of_mmd(objective.kernel.numpy() / n**2, objective.mean_to_target.numpy() / n, cap)
    assert abs(missing(objective, w, torch.from_numpy(other))) < 1e-4
    gap = gap_bound(objective.at(w).gradient.numpy(), w.numpy(), cap)
    assert gap < 1e-4 * float(objective.at(torch.ones_like(w)).value - objective.at(w).value)


@pytest.mark.parametrize(
    ("n", "m", "bandwidth"),
    # Fewer rows with the wide kernel, on which steps converge slowly.
    [(24, 24, 0.3), (32, 16, 0.3), (16, 32, 0.3), (16, 8, 1.0)],
)
@for_caps
def test_mmd_steps_reach_the_exact_solution(n: int, m: int, cap: float, bandwidth: float) -> None:
    objective = MMD(bandwidth).prepare(*losses(n, n, m))
    exact = solve_mmd_exactly(objective, FeasibleSet(cap))
    w = WeightSolver(3000, 1.9, FeasibleSet(cap)).solve(objective, torch.ones_like(exact))
    assert -1e-4 < missing(objective, w, exact) < 1e-3


@for_sizes
def test_energy_value_is_the_distance_that_scipy_finds(n: int, m: int) -> None:
    source, target = losses(n, n, m)
    objective = Energy().prepare(source, target)
    pooled = torch.cat([source, target])
    spread = float(torch.pdist(pooled.unsqueeze(1)).median())
    # What f leaves out depends on the centre and on the target alone.
    left_out = []
    for w in random_weights(m, n, 6):
        distance = energy_distance(source.numpy(), target.numpy(), w.numpy()) ** 2 / spread
        left_out.append(distance - 4 * float(objective.at(w).value))
    assert left_out == pytest.approx([left_out[0]] * 6, rel=1e-9)


@each_size_cap_with("on_features", [False, True])
def test_energy_steps_reach_scipys_solution(n: int, m: int, cap: float, on_features: bool) -> None:
    objective = Energy().prepare(*(features(n, n, m, 3) if on_features else losses(n, n, m)))
    assert isinstance(objective.kernel, Tensor)
    assert torch.linalg.eigvalsh(objective.kernel).min() > -1e-10
    assert objective.kernel.min() >= 0
    best = torch.from_numpy(
        qp_of_mmd(objective.kernel.numpy() / n**2, objective.mean_to_target.numpy() / n, cap)
    )
    w = WeightSolver(2000, 1.9, FeasibleSet(cap)).solve(objective, torch.ones_like(best))
    assert -1e-4 < missing(objective, w, best) < 1e-3


@each_size_cap_with("alpha", [0.0, 0.1, 0.5])
def test_pearson_steps_reach_scipys_solution(n: int, m: int, cap: float, alpha: float) -> None:
    objective = Pearson(0.3, alpha).prepare(*losses(n, n, m))
    linear = -objective.at(torch.zeros(n, dtype=torch.float64)).gradient
    axes = torch.eye(n, dtype=torch.float64)
    quadratic = torch.stack([objective.at(axis).gradient + linear for axis in axes])
    best = torch.from_numpy(qp_of_mmd(quadratic.numpy(), linear.numpy(), cap))
    w = WeightSolver(3000, 1.9, FeasibleSet(cap)).solve(objective, torch.ones_like(best))
    assert -1e-4 < missing(objective, w, best) < 2e-3


def test_pearson_finds_the_relative_ratio_where_there_are_rows() -> None:
    # Source N(0, 1) and target N(0.5, 0.8²), as quantiles, and a kernel that is narrow for them.
    quantiles = torch.special.ndtri((torch.arange(600, dtype=torch.float64) + 0.5) / 600)
    objective = Pearson(0.1, 0.5).prepare(quantiles, 0.5 + 0.8 * quantiles)
    w = WeightSolver(300, 1.9).solve(objective, torch.ones_like(quantiles))
    p = (-(quantiles**2) / 2).exp()
    q = (-((quantiles - 0.5) ** 2) / (2 * 0.8**2)).exp() / 0.8
    middle = quantiles.abs() < 1.5  # there is little to estimate from in the tails
    assert (w - q / (0.5 * q + 0.5 * p))[middle].abs().mean() < 0.1


@for_sizes
@for_caps
def test_kl_steps_reach_the_solution_of_em(n: int, m: int, cap: float) -> None:
    objective = KL(0.3).prepare(*losses(n, n, m))
    em = torch.from_numpy(
        em_of_kl(objective.smoother.numpy(), objective.mass.numpy(), cap, iterations=1000)
    )
    one = torch.ones_like(em)
    assert abs(float(em.mean()) - 1) < 1e-9
    possible = float(objective.at(one).value - objective.at(em).value)
    assert gap_bound(objective.at(em).gradient.numpy(), em.numpy(), cap) < 5e-4 * possible
    w = WeightSolver(3000, 1.0, FeasibleSet(cap)).solve(objective, one)
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
        found = float(objective.at(w).value * (pooled.max() - pooled.min()))
        assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 12, 12), (1, 24, 8), (2, 16, 16), (3, 10, 30)])
def test_wasserstein_least_is_the_optimum_without_a_cap(seed: int, n: int, m: int) -> None:
    source, target = losses(seed, n, m)
    pooled = torch.cat([source, target])
    objective = Wasserstein(smoothing=0).prepare(source, target)
    distance, w = lp_of_wasserstein(source.numpy(), target.numpy(), cap=n)
    span = float(pooled.max() - pooled.min())
    assert float(objective.least) == pytest.approx(distance / span, rel=1e-9)
    assert float(objective.at(torch.from_numpy(w)).value) == pytest.approx(
        distance / span, rel=1e-9
    )


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 6, 6), (1, 8, 5), (2, 8, 8)])
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
    for size, steps in ((1.5, 1000), (0.5, 300), (0.1, 300)):
        w = WeightSolver(steps, size, FeasibleSet(cap)).solve(objective, w)
    assert -1e-9 < missing(objective, w, torch.from_numpy(best)) < 2e-3


@pytest.mark.parametrize("seed", range(4))
@for_caps
def test_wasserstein_stays_near_the_linear_programme_on_larger_batches(
    seed: int, cap: float
) -> None:
    # Subgradient steps are slow to the last digit: 1,000 of one size leave up to a few percent.
    source, target = losses(seed, 48, 48)
    objective = Wasserstein(smoothing=0).prepare(source, target)
    _, best = lp_of_wasserstein(source.numpy(), target.numpy(), cap)
    w = WeightSolver(1000, 1.0, FeasibleSet(cap)).solve(objective, torch.ones_like(source))
    assert -1e-9 < missing(objective, w, torch.from_numpy(best)) < 0.05


@pytest.mark.parametrize(("n", "m"), [(20, 20), (30, 7), (7, 30), (1, 4), (4, 1)])
@pytest.mark.parametrize("d", [2, 5])
def test_sliced_wasserstein_value_is_the_distance_that_pot_finds(n: int, m: int, d: int) -> None:
    source, target = features(n, n, m, d)
    lines = fixed_directions(32, source).T
    pooled = torch.cat([source, target]) @ lines
    objective = Wasserstein(smoothing=0).prepare(source, target)
    for w in random_weights(m, n, 5):
        expected = ot.sliced_wasserstein_distance(
            source.numpy(), target.numpy(), (w / w.sum()).numpy(), projections=lines.numpy(), p=1
        )
        found = float(objective.at(w).value * (pooled.amax(0) - pooled.amin(0)).max())
        assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(("seed", "n", "m"), [(0, 12, 12), (1, 16, 8)])
@for_caps
def test_sliced_wasserstein_steps_reach_the_linear_programme(
    seed: int, n: int, m: int, cap: float
) -> None:
    source, target = features(seed, n, m, 3)
    lines = fixed_directions(8, source).T
    best = torch.from_numpy(lp_of_slices((source @ lines).numpy(), (target @ lines).numpy(), cap))
    objective = Wasserstein(smoothing=0, directions=8).prepare(source, target)
    assert objective.at(best).value >= objective.least
    w = torch.ones_like(best)
    for size in (1.9, 0.5, 0.1, 0.02, 0.005):
        w = WeightSolver(300, size, FeasibleSet(cap)).solve(objective, w)
    assert -1e-9 < missing(objective, w, best) < 1e-2


def test_fixed_directions_are_unit_vectors_spread_over_the_sphere() -> None:
    like = torch.zeros(1, 5, dtype=torch.float64)
    lines = fixed_directions(2000, like)
    assert torch.equal(lines, fixed_directions(2000, like))
    torch.testing.assert_close(lines.norm(dim=1), torch.ones(2000, dtype=torch.float64))
    torch.testing.assert_close(
        lines.T @ lines / 2000, torch.eye(5, dtype=torch.float64) / 5, rtol=0, atol=0.015
    )
    assert lines.mean(dim=0).norm() < 0.03


def test_smoothing_changes_the_value_by_at_most_half_of_itself() -> None:
    source, target = losses(6, 20, 20)
    sharp = Wasserstein(smoothing=0).prepare(source, target)
    for smoothing in (0.01, 0.1):
        rounded = Wasserstein(smoothing).prepare(source, target)
        for w in random_weights(7, 20, 20):
            excess = float(rounded.at(w).value - sharp.at(w).value)
            assert -1e-12 <= excess <= smoothing / 2 + 1e-12


def test_gap_bound_is_zero_only_at_an_optimum() -> None:
    gradient, w = np.array([1.0, 0.0, 0.0]), np.array([0.0, 2.0, 1.0])
    assert gap_bound(gradient, w, cap=2.0) == 0
    assert gap_bound(gradient, np.ones(3), cap=2.0) == pytest.approx(1.0)
