"""What runs over shared seeds say of a metric: means, intervals, who is worse than whom.

A run's luck has two parts: the seed's, which runs of one seed share (data, order of rows, first
weights), and its own. Differences over shared seeds are free of the first, which is the larger.

Shapes: ``values`` is [k, s], the scores of k trials over s seeds, the greater the better; a trial
that was dropped from a race lacks the later seeds, which are NaN.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtr, stdtrit

from adiw_tune.metrics import Metric

MIN_SEEDS = 3  # the spread of two values is a single number: nothing to judge a mean by
RESAMPLES = 4000  # a share of them is right within a point
_DRAWS = 1000

Matrix: TypeAlias = NDArray[np.float64]


def lower_bounds(values: Matrix, error: float) -> Matrix:
    """[k, k]: by how much, at least, trial i is better than trial j.

        mean(d) - t_df(1 - error / (k - 1)) * sqrt(max(var(d), pooled variance) / n)

    with d the differences over the n seeds that both have. Spreads of all pairs are pooled, as
    3 to 5 seeds leave a pair's own too uncertain (the analysis of a randomised block design; df =
    values - k - s + 1); a pair that varies more than the others is judged by its own.

    For each trial, the k - 1 comparisons with the others are all right with probability
    1 - error (Bonferroni), if scores vary alike; of one that varies four times as much as the
    others the error is up to three times as large at 3 seeds, and as promised from 10 on. Pairs
    with fewer than ``MIN_SEEDS`` shared seeds are -inf.

    Args:
        values: [k, s].
        error: the probability, in (0, 0.5), that a trial is thought worse than one that is not
            better.
    """
    k, pairs = len(values), _pairs(values)
    if not pairs.known.any():
        return np.where(np.eye(k, dtype=bool), 0.0, -np.inf)
    bounds = pairs.mean - stdtrit(pairs.df, 1 - error / (k - 1)) * pairs.standard_error
    return np.where(np.eye(k, dtype=bool), 0.0, np.where(pairs.known, bounds, -np.inf))


def lower_bounds_over(values: Matrix, other: Matrix, error: float) -> Matrix:
    """[k]: by how much, at least, each of k trials is better than one other.

        mean(d) - c * sqrt(max(var(d), pooled variance) / n)

    as in :func:`lower_bounds`, of the k + 1 trials alone. All k hold at once with probability
    1 - error: c is the quantile of the largest of k Student's t. As all differences share the other
    trial's luck, these depend on each other, as much as the residuals say, and c is less than
    Bonferroni's t_df(1 - error / k).

    Source: Dunnett, "A multiple comparison procedure for comparing several treatments with a
    control", JASA 1955, with the correlations as measured.

    Args:
        values: [k, s].
        other: [s].
        error: in (0, 0.5).
    """
    k, pairs = len(values), _pairs(np.vstack([values, other]))
    known, mean, standard_error = (
        part[:k, k] for part in (pairs.known, pairs.mean, pairs.standard_error)
    )
    if not known.any():
        return np.full(k, -np.inf)
    width = _largest_t(pairs.residuals[:k, k][known], pairs.df, error) * standard_error
    return np.where(known, mean - width, -np.inf)


def _largest_t(residuals: Matrix, df: int, error: float) -> float:
    """The 1 - error quantile of the largest of k Student's t, correlated as ``residuals`` [k, s].

    Normal draws have the correlations of the residuals whose multiples they are; for each the
    probability of the scale is exact, so that few draws resolve small errors.
    """
    least, most = stdtrit(df, 1 - error), stdtrit(df, 1 - error / len(residuals))
    norms = np.linalg.norm(residuals, axis=1, keepdims=True)
    if not norms.all():  # of equal differences there is no correlation
        return float(most)
    rng = np.random.default_rng(0)  # the same answer every time
    draws = rng.standard_normal((_DRAWS, residuals.shape[1])) @ (residuals / norms).T
    largest = draws.max(1)
    largest = largest[largest > 0]

    def excess(c: float) -> float:
        return float(chdtr(df, df * (largest / c) ** 2).sum() / _DRAWS - error)

    return float(brentq(excess, least, most)) if excess(least) > 0 > excess(most) else float(most)


@dataclass(frozen=True)
class _Pairs:
    """Differences of trial i less trial j over the seeds that both have.

    Args:
        known: [k, k], whether there are enough seeds; False of i = j.
        mean: [k, k].
        standard_error: [k, k], of the mean.
        df: degrees of freedom of it.
        residuals: [k, k, s], differences less their mean; 0 where a seed is missing.
    """

    known: NDArray[np.bool_]
    mean: Matrix
    standard_error: Matrix
    df: int
    residuals: Matrix


def _pairs(values: Matrix) -> _Pairs:
    k = len(values)
    differences = values[:, None, :] - values[None, :, :]
    both = ~np.isnan(differences)
    n = both.sum(-1)  # [k, k]
    mean = np.where(both, differences, 0).sum(-1) / np.maximum(n, 1)
    residuals = np.where(both, differences - mean[..., None], 0)
    squares = (residuals**2).sum(-1)
    known = ~np.eye(k, dtype=bool) & (n >= MIN_SEEDS)
    freedom = np.maximum(n - 1, 1)
    pooled = squares[known].sum() / max(freedom[known].sum(), 1)
    run = ~np.isnan(values)
    return _Pairs(
        known=known,
        mean=mean,
        standard_error=np.sqrt(np.maximum(squares / freedom, pooled) / np.maximum(n, 1)),
        df=int(run.sum() - k - run.any(0).sum() + 1),
        residuals=residuals,
    )


def levelled(values: Matrix) -> Matrix:
    """``values`` as if every trial had met the luck of all seeds.

    A dropped trial is moved by what its seeds did, on average, to the trials that have all of them.
    """
    usual = values[~np.isnan(values).any(1)].mean(0)  # [s]
    luck = np.array([usual[~np.isnan(row)].mean() for row in values]) - usual.mean()
    return np.asarray(values - luck[:, None])


def interval(values: Matrix, rng: np.random.Generator, metric: Metric) -> list[float]:
    """[low, high] within the metric's range: the 95% bootstrap interval of the mean of n >= 3.

    Percentiles of the means of resamples, moved away from the mean by ``_stretch(n)``: the plain
    percentile interval is too narrow for few values (Hesterberg 2015, "What teachers should know
    about the bootstrap", section 4), and no percentile of 5 values lies outside them.
    """
    mean = values.mean()
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = mean + _stretch(len(values)) * (np.quantile(means, [0.025, 0.975]) - mean)
    return [max(metric.least, float(low)), min(metric.most, float(high))]


def resampled_means(values: Matrix, rng: np.random.Generator) -> Matrix:
    """[``RESAMPLES``, k]: mean scores had other seeds been drawn, up to a constant of each row.

    What is resampled are the differences from the mean of the trials that have all seeds, whole
    seeds at a time; trials with the same seeds share the draw. A dropped trial's are drawn from its
    own fewer seeds. Stretched as in ``interval``.
    """
    differences = values - values[~np.isnan(values).any(1)].mean(0)
    known = ~np.isnan(values)
    means = np.empty((RESAMPLES, len(values)))
    for seeds in np.unique(known, axis=0):
        group = (known == seeds).all(1)
        own = differences[np.ix_(group, seeds)]  # [g, n]
        n = own.shape[1]
        draws = own[:, rng.integers(n, size=(RESAMPLES, n))].mean(-1)  # [g, RESAMPLES]
        centre = own.mean(1, keepdims=True)
        means[:, group] = (centre + _stretch(n) * (draws - centre)).T
    return means


def _stretch(n: int) -> float:
    """What makes the resampled means of n values as wide as Student's t: sqrt(n/(n-1)) t/z."""
    return float(np.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975) / stdtrit(np.inf, 0.975))
