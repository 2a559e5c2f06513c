"""What every divergence must do. One listed in DIVERGENCES gets every test here."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from adiw_tune.divergences import (
    DIVERGENCES,
    Pearson,
    Wasserstein,
    has_bandwidth,
    kernels,
    make_divergence,
)
from adiw_tune.divergences.contract import DEGENERATE
from adiw_tune.weights import FeasibleSet, WeightSolver

from .problems import DTYPES, batches, features, losses, random_weights

ALL = sorted(DIVERGENCES)
ANY_BASIS = [name for name in ALL if name != "wasserstein"]  # whose directions are fixed

for_all = pytest.mark.parametrize("name", ALL)
for_dtypes = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES.keys())


def start_for(source: Tensor) -> Tensor:
    return source.new_ones(len(source))


def assert_usable(w: Tensor, source: Tensor, cap: float = 50.0) -> None:
    assert w.shape == (len(source),)
    assert w.dtype == source.dtype
    assert w.device == source.device
    assert torch.isfinite(w).all()
    assert w.min() >= 0
    assert w.max() <= cap
    assert abs(float(w.double().mean()) - 1) < 1e-5


@for_all
@pytest.mark.parametrize("bandwidth", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("n", "m"), [(12, 12), (20, 7), (7, 20), (1, 5), (5, 1)])
@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
def test_gradient_is_that_of_the_value(
    name: str, bandwidth: float, n: int, m: int, on_features: bool
) -> None:
    divergence = make_divergence(name, bandwidth if has_bandwidth(name) else None)
    samples = features(n, n, m, 3) if on_features else losses(n, n, m)
    objective = divergence.prepare(*samples)
    for row in random_weights(1, n, 12):
        w = row.clone().requires_grad_()
        (expected,) = torch.autograd.grad(objective.at(w).value, w)
        torch.testing.assert_close(objective.at(row).gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.01, 0.3])
def test_wasserstein_gradient_is_that_of_the_value_at_any_smoothing(smoothing: float) -> None:
    objective = Wasserstein(smoothing).prepare(*losses(3, 15, 11))
    for row in random_weights(2, 15, 12):
        w = row.clone().requires_grad_()
        (expected,) = torch.autograd.grad(objective.at(w).value, w)
        torch.testing.assert_close(objective.at(row).gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.9])
def test_pearson_gradient_is_that_of_the_value_at_any_alpha(alpha: float) -> None:
    objective = Pearson(alpha=alpha).prepare(*losses(3, 15, 11))
    for row in random_weights(2, 15, 12):
        w = row.clone().requires_grad_()
        (expected,) = torch.autograd.grad(objective.at(w).value, w)
        torch.testing.assert_close(objective.at(row).gradient, expected, rtol=1e-9, atol=1e-12)


@for_all
def test_objective_is_convex_along_segments(name: str) -> None:
    objective = make_divergence(name).prepare(*losses(5, 16, 12))
    points = random_weights(3, 16, 20)
    others = points[torch.randperm(20, generator=torch.Generator().manual_seed(0))]
    for a, b in zip(points, others, strict=True):
        for share in (0.1, 0.5, 0.8):
            between = objective.at(share * a + (1 - share) * b).value
            chord = share * objective.at(a).value + (1 - share) * objective.at(b).value
            assert between <= chord + 1e-12


@for_all
@for_dtypes
@pytest.mark.parametrize("start_seed", [None, 4])
def test_default_steps_never_raise_the_objective_and_lower_it_in_the_end(
    name: str, dtype: torch.dtype, start_seed: int | None
) -> None:
    source, target = losses(7, 40, 30, dtype)
    objective = make_divergence(name).prepare(source, target)
    start = start_for(source)
    if start_seed is not None:
        start = random_weights(start_seed, 40, 5)[-1].to(dtype)
    values = [objective.at(start).value]
    values += [objective.at(WeightSolver(k).solve(objective, start)).value for k in range(1, 6)]
    noise = 1e-6 if dtype == torch.float32 else 1e-12
    assert all(b <= a + noise for a, b in pairwise(values))
    assert values[-1] < values[0] - 1e-3


@for_all
@for_dtypes
@settings(max_examples=60, derandomize=True, deadline=None)
@given(batch=batches())
def test_weights_of_random_losses_are_feasible(
    name: str, dtype: torch.dtype, batch: tuple[list[float], list[float]]
) -> None:
    source, target = (torch.tensor(z, dtype=dtype) for z in batch)
    objective = make_divergence(name).prepare(source, target)
    start = start_for(source)
    w = WeightSolver().solve(objective, start)
    assert_usable(w, source)
    assert objective.at(w).value <= objective.at(start).value


@for_all
@for_dtypes
@pytest.mark.parametrize("case", DEGENERATE)
def test_weights_of_degenerate_losses_are_feasible(
    name: str, dtype: torch.dtype, case: str
) -> None:
    source, target = (torch.tensor(z, dtype=dtype) for z in DEGENERATE[case])
    objective = make_divergence(name).prepare(source, target)
    start = start_for(source)
    value, gradient, curvature = objective.at(start)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(curvature)
    assert curvature > 0
    w = WeightSolver().solve(objective, start)
    assert_usable(w, source)
    assert objective.at(w).value <= objective.at(start).value


@pytest.mark.parametrize("name", ["kl", "squared", "pearson", "wasserstein"])
@pytest.mark.parametrize("n", [20, 256])
def test_one_huge_source_loss_among_many_gets_hardly_any_weight(name: str, n: int) -> None:
    # Not so for mmd and energy: a row far from all others has a curvature of 1/n², and steps are
    # of 1/L for the most curved direction, so that its weight stays near 1 for many steps.
    source, target = losses(8, n, n)
    source[0] = 1e8
    w = WeightSolver().solve(make_divergence(name).prepare(source, target), start_for(source))
    assert w[0] < 0.1


@for_all
def test_one_huge_source_loss_gets_less_weight_than_the_others(name: str) -> None:
    source, target = (torch.tensor(z) for z in DEGENERATE["source outlier 1e30"])
    objective = make_divergence(name).prepare(source, target)
    w = WeightSolver().solve(objective, start_for(source))
    assert w[-1] < 0.5
    assert w[-1] <= w[:-1].min()


@for_all
@pytest.mark.parametrize("cap", [1.5, 2.0, 5.0])
@pytest.mark.parametrize("slack", [0.0, 0.3])
def test_cap_and_slack_hold(name: str, cap: float, slack: float) -> None:
    source, target = losses(8, 25, 10)
    objective = make_divergence(name).prepare(source, target)
    w = WeightSolver(50, 1.5, FeasibleSet(cap, slack)).solve(objective, start_for(source))
    assert w.min() >= 0
    assert w.max() <= cap
    assert abs(float(w.mean()) - 1) <= slack + 1e-9


@for_all
@for_dtypes
@pytest.mark.parametrize("seed", range(4))
def test_same_sample_on_both_sides_leaves_all_weights_at_one(
    name: str, dtype: torch.dtype, seed: int
) -> None:
    source, _ = losses(seed, 30, 1, dtype)
    objective = make_divergence(name).prepare(source, source.clone())
    one = start_for(source)
    noise = 1e-5 if dtype == torch.float32 else 1e-9
    step = objective.at(one).gradient / objective.at(one).curvature
    torch.testing.assert_close(FeasibleSet().project(one - step), one, rtol=0, atol=noise)
    w = WeightSolver(100).solve(objective, one)
    assert objective.at(w).value >= objective.at(one).value - noise / 10
    torch.testing.assert_close(w, one, rtol=0, atol=10 * noise)


@for_all
def test_no_weights_beat_one_when_both_samples_are_the_same(name: str) -> None:
    source, _ = losses(11, 20, 1)
    objective = make_divergence(name).prepare(source, source.clone())
    least = objective.at(start_for(source)).value
    for w in random_weights(5, 20, 200):
        assert objective.at(w).value >= least - 1e-12


@for_all
@pytest.mark.parametrize("seed", range(3))
def test_order_of_the_rows_does_not_matter(name: str, seed: int) -> None:
    source, target = losses(seed, 40, 30)
    generator = torch.Generator().manual_seed(seed)
    rows, others = (torch.randperm(len(z), generator=generator) for z in (source, target))
    divergence, solver = make_divergence(name), WeightSolver()
    w = solver.solve(divergence.prepare(source, target), start_for(source))
    moved = solver.solve(divergence.prepare(source[rows], target[others]), start_for(source))
    torch.testing.assert_close(moved, w[rows], rtol=1e-7, atol=1e-9)


@for_all
@pytest.mark.parametrize("scale", [1e-6, 1e-3, 7.0, 1e6])
def test_unit_of_the_losses_does_not_matter(name: str, scale: float) -> None:
    source, target = losses(2, 40, 30)
    divergence, solver = make_divergence(name), WeightSolver()
    w = solver.solve(divergence.prepare(source, target), start_for(source))
    scaled = solver.solve(divergence.prepare(source * scale, target * scale), start_for(source))
    torch.testing.assert_close(scaled, w, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
def test_wasserstein_in_single_precision_bears_an_offset(on_features: bool) -> None:
    samples = features(4, 90, 70, 20) if on_features else losses(4, 90, 70)
    source, target = ((8 * z).round().float() / 8 for z in samples)  # 1e6 + z is exact then
    divergence, solver, one = Wasserstein(), WeightSolver(), torch.ones(90)
    w = solver.solve(divergence.prepare(source, target), one)
    moved = solver.solve(divergence.prepare(source + 1e6, target + 1e6), one)
    torch.testing.assert_close(moved, w, rtol=0, atol=1e-4)
    assert float(w.std()) > 0.1


@for_all
def test_losses_as_one_column_are_the_same_as_losses(name: str) -> None:
    source, target = losses(2, 20, 15)
    divergence, solver = make_divergence(name), WeightSolver()
    flat = solver.solve(divergence.prepare(source, target), start_for(source))
    column = solver.solve(
        divergence.prepare(source.unsqueeze(1), target.unsqueeze(1)), start_for(source)
    )
    torch.testing.assert_close(column, flat)


@for_all
@for_dtypes
@pytest.mark.parametrize("d", [2, 16])
def test_features_give_feasible_weights_that_lower_the_objective(
    name: str, dtype: torch.dtype, d: int
) -> None:
    source, target = (z.to(dtype) for z in features(d, 30, 20, d))
    objective = make_divergence(name).prepare(source, target)
    one = start_for(source)
    w = WeightSolver().solve(objective, one)
    assert_usable(w, source)
    assert objective.at(w).value < objective.at(one).value


@pytest.mark.parametrize("name", ANY_BASIS)
def test_features_in_another_basis_give_the_same_weights(name: str) -> None:
    source, target = features(3, 30, 20, 6)
    basis, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    divergence, solver = make_divergence(name), WeightSolver()
    w = solver.solve(divergence.prepare(source, target), start_for(source))
    turned = solver.solve(divergence.prepare(source @ basis, target @ basis), start_for(source))
    torch.testing.assert_close(turned, w, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in ALL if name != "wasserstein"])
@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
def test_a_matrix_too_large_to_be_held_gives_the_same_weights(
    name: str, on_features: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = features(1, 90, 70, 3) if on_features else losses(1, 90, 70)
    divergence, solver, one = make_divergence(name), WeightSolver(), start_for(source)
    held = divergence.prepare(source, target)
    monkeypatch.setattr(kernels, "HELD_ENTRIES", 16 * 90 * 7)  # 7 rows of 90 columns at once
    recomputed = divergence.prepare(source, target)
    for found, expected in zip(recomputed.at(one), held.at(one), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(solver.solve(recomputed, one), solver.solve(held, one))


def test_nothing_of_quadratic_size_is_kept_beyond_the_limit() -> None:
    size = 2049
    source, target = losses(0, size, size, torch.float32)
    for name in ALL:
        objective = make_divergence(name).prepare(source, target)
        kept = [value for value in vars(objective).values() if isinstance(value, Tensor)]
        assert sum(value.numel() for value in kept) <= 10 * size
