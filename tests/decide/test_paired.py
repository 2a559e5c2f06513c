from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from adiw_tune.decide.paired import (
    MIN_SEEDS,
    _largest_t,
    interval,
    levelled,
    lower_bounds,
    lower_bounds_over,
    resampled_means,
)
from adiw_tune.metrics import ACCURACY
from tests.decide.tables import drawn


def test_for_two_the_bound_is_that_of_the_paired_t_test() -> None:
    values = drawn([0.80, 0.81], 6, np.random.default_rng(0), own=0.003)
    test = stats.ttest_rel(values[1], values[0], alternative="greater")
    bound = test.confidence_interval(0.95).low
    assert lower_bounds(values, 0.05)[1, 0] == pytest.approx(bound)
    assert (lower_bounds(values, 0.05)[1, 0] > 0) == (test.pvalue < 0.05)


def test_pooled_spread_is_the_residual_of_a_randomised_block_design() -> None:
    values = drawn([0.80, 0.81, 0.82], 5, np.random.default_rng(1), own=0.003)
    residual = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    pooled = 2 * (residual**2).sum() / (2 * 4)  # of a difference; (k - 1) (s - 1) = 8 degrees
    own = (values[2] - values[0]).var(ddof=1)
    expected = (values[2] - values[0]).mean() - stats.t.ppf(1 - 0.05 / 2, 8) * np.sqrt(
        max(own, pooled) / 5
    )
    assert lower_bounds(values, 0.05)[2, 0] == pytest.approx(expected)


def test_a_baseline_that_varies_much_hides_no_difference_between_those_that_are_alike() -> None:
    own = np.array([[2], [2], [2], [40]]) * 1e-3
    values = drawn([0.83, 0.80, 0.80, 0.70], 5, np.random.default_rng(8), own=own)
    alike = np.array([True, True, True, False])
    bounds = lower_bounds(values, 0.0125, alike)
    assert not (lower_bounds(values, 0.0125)[0, 1:3] > 0).any()
    assert (bounds[0, 1:3] > 0).all()
    # As if the other were not there, but for the allowance for its comparison.
    assert bounds[0, 1] == pytest.approx(lower_bounds(values[:3], 0.0125 * 2 / 3)[0, 1])
    assert bounds[0, 3] == lower_bounds(values, 0.0125)[0, 3]


def test_too_few_shared_seeds_say_nothing() -> None:
    values = np.array([[0.9, 0.9, 0.9], [0.1, 0.1, np.nan]])
    assert list(lower_bounds(values, 0.05).ravel()) == [0, -np.inf, -np.inf, 0]
    assert MIN_SEEDS == 3


@pytest.mark.parametrize("own", [[0.004] * 4, [0.002, 0.002, 0.002, 0.01]])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_best_is_seldom_thought_worse(own: list[float], seeds: int) -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(1000):
        values = (
            rng.normal(0.8, 0.01, seeds) + rng.normal(0, 1, (4, seeds)) * np.array(own)[:, None]
        )
        wrong += int((lower_bounds(values, 0.05)[:, 3] > 0).any())
    assert wrong <= 70  # 50 expected at most, and the error of counting; the deviant one is last


def test_over_one_other_the_bound_is_that_of_the_paired_t_test() -> None:
    values = drawn([0.80, 0.81], 6, np.random.default_rng(0), own=0.003)
    test = stats.ttest_rel(values[1], values[0], alternative="greater")
    bound = test.confidence_interval(0.95).low
    assert lower_bounds_over(values[1:], values[0], 0.05)[0] == pytest.approx(bound)


@pytest.mark.parametrize(("k", "published"), [(2, 2.03), (3, 2.19), (4, 2.30), (5, 2.39)])
def test_the_quantile_is_that_of_dunnetts_table(k: int, published: float) -> None:
    """One-sided, 5%, 20 degrees of freedom; differences from one other correlate by a half."""
    residuals = np.column_stack([np.eye(k), -np.ones(k)])
    assert _largest_t(residuals, 20, 0.05) == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize("error", [0.02, 1e-4])
def test_the_quantile_is_that_of_the_multivariate_t(error: float) -> None:
    residuals = np.random.default_rng(5).normal(size=(3, 8)) + 1.0
    unit = residuals / np.linalg.norm(residuals, axis=1, keepdims=True)
    joint = stats.multivariate_t(shape=unit @ unit.T, df=12, seed=0)
    found = _largest_t(residuals, 12, error)
    assert 1 - joint.cdf(np.full(3, found)) == pytest.approx(error, rel=0.15)


def test_differences_that_are_one_and_the_same_need_no_allowance() -> None:
    residuals = np.tile([1.0, -2.0, 1.0], (4, 1))
    assert _largest_t(residuals, 6, 0.05) == pytest.approx(stats.t.ppf(0.95, 6), abs=0.05)
    assert _largest_t(0 * residuals, 6, 0.05) == pytest.approx(stats.t.ppf(1 - 0.05 / 4, 6))


def test_one_that_varies_much_widens_no_bounds_over_another() -> None:
    rng = np.random.default_rng(6)
    values = drawn([0.81, 0.81, 0.80, 0.70], 5, rng, own=np.array([[1], [1], [1], [20]]) * 1e-3)
    over_the_calm = lower_bounds_over(values[:2], values[2], 0.02)
    assert (over_the_calm > 0).all()
    assert not (lower_bounds(values, 0.02)[:2, 2] > 0).any()


@pytest.mark.parametrize("other", [0.002, 0.01])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_nobody_is_often_thought_better_than_one_as_good(other: float, seeds: int) -> None:
    rng = np.random.default_rng(7)
    own = np.array([[0.004]] * 4 + [[other]])
    wrong = 0
    for _ in range(1000):
        values = drawn([0.8] * 5, seeds, rng, own)
        wrong += int((lower_bounds_over(values[:4], values[4], 0.05) > 0).any())
    assert wrong <= 70  # 50 expected at most, and the error of counting


def test_trials_that_were_dropped_early_hardly_widen_the_bound_of_one_that_ran_on() -> None:
    values = drawn([0.84, 0.80, 0.80, 0.80, 0.83], 10, np.random.default_rng(9), own=0.004)
    alone = lower_bounds_over(values[:1], values[4], 0.0125)[0]
    values[1:4, MIN_SEEDS:] = np.nan
    dropped = lower_bounds_over(values[:4], values[4], 0.0125)[0]
    assert alone - 0.002 < dropped < alone


def test_over_one_other_nobody_is_often_thought_better_beside_trials_that_were_dropped() -> None:
    rng = np.random.default_rng(10)
    wrong = 0
    for _ in range(1000):
        values = drawn([0.8] * 5, 10, rng, own=0.004)
        means = values[:4, :MIN_SEEDS].mean(1)
        values[:4][means < means.max() - 0.004, MIN_SEEDS:] = np.nan
        wrong += int((lower_bounds_over(values[:4], values[4], 0.05) > 0).any())
    assert wrong <= 70  # 50 expected at most, and the error of counting


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_hold_the_true_mean_in_at_least_ninety_of_a_hundred(seeds: int) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        low, high = interval(rng.normal(0.8, 0.01, seeds), rng, ACCURACY)
        held += low <= 0.8 <= high
    assert 900 <= held <= 980


def test_an_interval_of_many_is_the_usual_one() -> None:
    values = np.random.default_rng(4).normal(0.8, 0.05, 400)
    low, high = interval(values, np.random.default_rng(0), ACCURACY)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_an_interval_stays_within_what_accuracy_can_be() -> None:
    assert interval(np.array([1.0, 0.9, 0.8]), np.random.default_rng(0), ACCURACY)[1] == 1.0
    assert interval(np.array([0.5, 0.5, 0.5]), np.random.default_rng(0), ACCURACY) == [0.5, 0.5]


def test_a_dropped_trial_is_levelled_by_what_its_seeds_did_to_the_others() -> None:
    # Its three seeds were lucky, by 0.05 against all four.
    full = np.array([[0.9, 0.9, 0.9, 0.7], [0.8, 0.8, 0.8, 0.6]])
    level = levelled(np.vstack([full, [0.75, 0.75, 0.75, np.nan]]))
    assert level[:2] == pytest.approx(full)
    assert level[2, :3] == pytest.approx([0.70] * 3)


def test_resamples_keep_the_pairs_together() -> None:
    luck = np.array([0.0, 0.05, -0.05, 0.1])
    values = np.vstack([0.80 + luck, 0.81 + luck])
    means = resampled_means(values, np.random.default_rng(0))
    assert means[:, 1] - means[:, 0] == pytest.approx(np.full(len(means), 0.01))


def test_resampled_differences_are_as_uncertain_as_students_t() -> None:
    values = drawn([0.80, 0.81], 8, np.random.default_rng(5), own=0.004)
    means = resampled_means(values, np.random.default_rng(0))
    difference = values[1] - values[0]
    width = stats.t.ppf(0.975, 7) / 1.96 * difference.std(ddof=1) / np.sqrt(8)
    assert (means[:, 1] - means[:, 0]).std() == pytest.approx(width, rel=0.05)
