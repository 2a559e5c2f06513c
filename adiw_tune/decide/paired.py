"""What runs over shared seeds say of a metric: means, intervals, who is worse than whom.

A run's luck has two parts: the seed's, which runs of one seed share (data, order of rows, first
weights), and its own. Differences over shared seeds are free of the first, which is the larger.

Shapes: ``values`` is [k, s], the scores of k trials over s seeds, the greater the better; a trial
that was dropped from a race lacks the later seeds, which are NaN.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import fdtrc, stdtrit

from adiw_tune.metrics import Metric

MIN_SEEDS = 3  # the spread of two values is a single number: nothing to judge a mean by
RESAMPLES = 4000  # a share of them is right within a point
_DIRECTIONS = 2000

Matrix: TypeAlias = NDArray[np.float64]


def lower_bounds(values: Matrix, error: float, alike: NDArray[np.bool_] | None = None) -> Matrix:
    """[k, k]: by how much, at least, trial i is better than trial j.

        mean(d) - t_df(1 - error / (k - 1)) * sqrt(max(var(d), pooled variance) / n)

    with d the differences over the n seeds that both have. Spreads of all pairs are pooled, as
    3 to 5 seeds leave a pair's own too uncertain (the analysis of a randomised block design; df =
    values - k - s + 1); a pair that varies more than the others is judged by its own. For two
    trials that are both ``alike`` only the spreads of such pairs are pooled, so that others that
    vary more do not hide their difference.

    For each trial, the k - 1 comparisons with the others are all right with probability
    1 - error (Bonferroni), if scores vary alike; of one that varies four times as much as the
    others the error is up to five times as large at 3 seeds, three times at 5, and 1.5 times at 10.
    Pairs with fewer than ``MIN_SEEDS`` shared seeds are -inf.

    Args:
        values: [k, s].
        error: the probability, in (0, 0.5), that a trial is thought worse than one that is not
            better.
        alike: [k], which trials vary alike; None: all do.
    """
    k = len(values)
    differences = values[:, None, :] - values[None, :, :]
    known = ~np.isnan(differences)
    n = known.sum(-1)  # [k, k]
    mean = np.where(known, differences, 0).sum(-1) / np.maximum(n, 1)
    squares = (np.where(known, differences - mean[..., None], 0) ** 2).sum(-1)
    pairs = ~np.eye(k, dtype=bool) & (n >= MIN_SEEDS)
    if not pairs.any():
        return np.where(np.eye(k, dtype=bool), 0.0, -np.inf)
    freedom = np.maximum(n - 1, 1)
    width = np.empty((k, k))
    everyone = np.ones(k, dtype=bool)
    for kind in [everyone] if alike is None else [everyone, alike]:
        block = np.outer(kind, kind)
        if not (pooling := block & pairs).any():
            continue
        pooled = squares[pooling].sum() / freedom[pooling].sum()
        known_of_kind = ~np.isnan(values[kind])
        df = known_of_kind.sum() - kind.sum() - known_of_kind.any(0).sum() + 1
        spread = np.sqrt(np.maximum(squares / freedom, pooled) / np.maximum(n, 1))
        width[block] = (stdtrit(df, 1 - error / (k - 1)) * spread)[block]
    return np.where(np.eye(k, dtype=bool), 0.0, np.where(pairs, mean - width, -np.inf))


def lower_bounds_over(values: Matrix, other: Matrix, error: float) -> Matrix:
    """[k]: by how much, at least, each of k trials is better than one other.

        mean(d) - c * sqrt(max(var(d), pooled variance) / n)

    with d the differences over the n seeds that both have. All k hold at once with probability
    1 - error: c is the quantile of the largest of k Student's t. All differences share the other
    trial's noise, so they are correlated; the correlation is estimated from the residuals. So c is
    less than Bonferroni's. The variance pooled over the k has n - 1 degrees of freedom where the
    other's noise is nearly all there is, and up to k (n - 1) where there is little of it; with few
    seeds these degrees are underestimated. A trial that was dropped early has fewer seeds and
    counts for less. If one trial varies four times as much as the others, the error is up to 1.5
    times as large at 3 seeds. Trials with fewer than ``MIN_SEEDS`` seeds have -inf.

    Source: Dunnett, "A multiple comparison procedure for comparing several treatments with a
    control", JASA 1955, with the correlations as measured; Box, "Some theorems on quadratic forms
    applied in the study of analysis of variance problems", Ann. Math. Stat. 1954, for the degrees
    of freedom.

    Args:
        values: [k, s].
        other: [s].
        error: in (0, 0.5).
    """
    bounds = np.full(len(values), -np.inf)
    differences = values - other
    both = ~np.isnan(differences)
    enough = both.sum(1) >= MIN_SEEDS
    if not enough.any():
        return bounds
    differences, both = differences[enough], both[enough]
    n, mean = both.sum(1), np.nanmean(differences, 1)
    residuals = np.where(both, differences - mean[:, None], 0)  # [k, s]
    squares = (residuals**2).sum(1)
    variance, pooled = squares / (n - 1), squares.sum() / (n - 1).sum()
    c = _largest_t(residuals, _degrees_of_freedom(residuals, n), error)
    bounds[enough] = mean - c * np.sqrt(np.maximum(variance, pooled) / n)
    return bounds


def _degrees_of_freedom(residuals: Matrix, n: NDArray[np.intp]) -> float:
    """Of the variance pooled over ``residuals`` [k, s], of the first n [k] seeds each.

    (sum_i p_ii)^2 / sum_ij p_ij^2 / m_ij, with p the sums of products over shared seeds and m their
    number less 1.
    """
    products = residuals @ residuals.T
    if not products.any():
        return float(n.min() - 1)
    shared = np.minimum.outer(n, n) - 1
    return float(products.trace() ** 2 / (products**2 / shared).sum())


def _largest_t(residuals: Matrix, df: float, error: float) -> float:
    """The 1 - error quantile of the largest of k Student's t, correlated as ``residuals`` [k, s].

    The k values are a standard normal vector in the span of the residuals, projected on the
    direction of each residual and divided by sqrt(chi-square / df). Directions of the vector are
    drawn; given one, the probability is exact, by F.
    """
    least, most = stdtrit(df, 1 - error), stdtrit(df, 1 - error / len(residuals))
    norms = np.linalg.norm(residuals, axis=1, keepdims=True)
    if len(residuals) == 1 or not norms.all():  # differences without spread have no correlation
        return float(most)
    left, scale, _ = np.linalg.svd(residuals / norms, full_matrices=False)
    along = (left * scale)[:, scale > 1e-6 * scale[0]]  # [k, d]
    d = along.shape[1]
    rng = np.random.default_rng(0)  # the same answer every time
    drawn = rng.standard_normal((_DIRECTIONS, d))
    largest = (drawn @ along.T).max(1) / np.linalg.norm(drawn, axis=1)
    largest = largest[largest > 0]

    def excess(c: float) -> float:
        return float(fdtrc(d, df, (c / largest) ** 2 / d).sum() / _DIRECTIONS - error)

    if excess(least) <= 0 or excess(most) >= 0:  # by the luck of the directions, at either end
        return float(most)
    return float(brentq(excess, least, most, xtol=1e-4))


def levelled(values: Matrix) -> Matrix:
    """``values`` corrected for seeds that a trial does not have.

    Subtracts the luck of a dropped trial's seeds: the mean of the complete trials over these seeds
    minus their mean over all seeds.
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
