"""Finalists rerun over paired seeds: who goes on racing, and whom the runs favour."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adiw_tune.arms import BASELINES
from adiw_tune.decide.paired import (
    MIN_SEEDS,
    Matrix,
    interval,
    levelled,
    lower_bounds,
    resampled_means,
)
from adiw_tune.decide.policies import Policy, about_equal
from adiw_tune.metrics import Metric

# How often the finalist that is right may be thought worse than another, at most. Half of it, so
# that two that are equal, and can each be thought worse, are told apart in one answer of 20.
ERROR = 0.025
RACE_ERROR = ANSWER_ERROR = ERROR / 2  # spent while racing, and in the end


@dataclass(frozen=True)
class Standing:
    """Where a trial stands.

    Args:
        trial: whose.
        value: of the metric, its mean over seeds, as if it had run on all; of a single run, that
            run's.
        interval: [low, high], 95%, of the mean; None of a single run.
        seeds: how many were run; 0 of a single run.
        p_chosen: the share of resamples of the seeds in which the policy takes it; None of a single
            run, and of an only finalist.
    """

    trial: str
    value: float
    interval: list[float] | None = None
    seeds: int = 0
    p_chosen: float | None = None


@dataclass(frozen=True)
class Evidence:
    """What the reruns say.

    Args:
        standings: of the finalists that were rerun; the ``p_chosen`` of several sum to 1.
        winner: the trial that the policy takes.
        tied: the trials that could be the best too, and cannot be told from the winner.
    """

    standings: list[Standing]
    winner: str
    tied: list[str]


def race(reruns: pd.DataFrame, finalists: list[str], policy: Policy) -> list[str]:
    """The finalists that are still racing after the seeds run so far.

    Seeds count in ascending order, each once all that are racing have run it; call it after each
    round, and run the next seed for those that it returns. From ``MIN_SEEDS`` on, a finalist is
    out once it cannot be what the policy takes:

    - it is worse than another (of the knee: than one no slower), by more than the policy's
      margin, or
    - it is worse than another, and slower than one that is within the margin of all;
      or that one is the fastest still racing, which ends the race.

    Each comparison is by ``lower_bounds``, with weighted finalists as ``alike``. Its error over all
    rounds sums to at most half of ``ERROR``, round r = 0, 1, ... taking 1 / ((r + 1) (r + 2)) of
    that, so that looking after each round does not add up.

    Args:
        reruns: columns trial, divergence, seed, of the policy's metric, and work_s. A value of NaN
            is a run that failed, which puts its finalist out.
        finalists: trials.
        policy: that which will decide.

    Returns:
        Trials of ``finalists``, in its order. The race is over when one is left.
    """
    values, arms = scores_of(reruns, finalists, policy.metric)
    work = reruns.groupby("trial")["work_s"].mean().reindex(arms).to_numpy(float)
    racing, weighted = np.arange(len(arms)), are_weighted(arms, arms_of(reruns))
    for seeds in range(MIN_SEEDS, values.shape[1] + 1):
        seen = values[:, :seeds]
        if len(racing) < 2 or np.isnan(seen[racing]).any():
            break
        rounds = seeds - MIN_SEEDS + 1
        bounds = lower_bounds(seen, RACE_ERROR / (rounds * (rounds + 1)), weighted)
        margin = policy.margin(seen[racing].mean(1).max())
        left = _left(bounds[np.ix_(racing, racing)], work[racing], margin, policy.knee)
        racing = racing[left]
    return [arms[position] for position in racing]


def weigh(
    reruns: pd.DataFrame, finalists: list[str], cost: pd.Series, price: float, policy: Policy
) -> Evidence | None:
    """What ``policy`` takes from the finalists by their reruns; None with too few of these.

    Finalists that cannot be told from the best, with confidence 1 - ``ERROR``, tie with it. Among
    these, and those within the policy's margin of the best, the candidates have a mean within a
    tolerance of the best mean: one point, or 1% of the best for a metric that does not lie in
    [0, 1], or the margin if it is larger. The fastest candidate is taken, so speed decides between
    near equals and costs at most the tolerance in the mean.

    Args:
        reruns: columns trial, divergence, seed and of the policy's metric; NaN as in ``race``.
        finalists: trials, each with at least ``MIN_SEEDS`` seeds, unless a rerun of it failed.
        cost: seconds, by trial.
        price: score that a second is worth, of the knee.
        policy: that decides.
    """
    metric = policy.metric
    values, arms = scores_of(reruns, finalists, metric)
    values = complete(values)
    if not arms or (~np.isnan(values)).sum(1).min() < MIN_SEEDS:
        return None
    seconds = cost.loc[arms].to_numpy(float)
    mean = np.nanmean(levelled(values), 1)
    # better[i, j]: i's score is higher than j's, with confidence
    bounds = lower_bounds(values, ANSWER_ERROR, are_weighted(arms, arms_of(reruns)))
    better = bounds > price * (seconds[:, None] - seconds[None, :])
    np.fill_diagonal(better, False)
    score = mean - price * seconds
    margin = policy.margin(mean.max())
    could_be = ~better.any(0) | _near(score, margin)
    taken = could_be & _near(score, about_equal(policy, mean.max()).margin(mean.max()))
    winner = int(np.lexsort((-mean, seconds, ~taken))[0])
    apart = better[winner] | better[:, winner]
    return Evidence(
        standings=_standings(arms, values, seconds, price, margin, metric),
        winner=arms[winner],
        tied=[arms[j] for j in np.flatnonzero(could_be & ~apart) if j != winner],
    )


def _standings(
    arms: list[str],
    scores: Matrix,
    seconds: Matrix,
    price: float,
    margin: float,
    metric: Metric,
) -> list[Standing]:
    """In the metric's own unit."""
    rng = np.random.default_rng(0)  # the same answer every time
    p_chosen: list[float | None] = [None]  # of an only one, nothing is chosen
    if len(arms) > 1:
        p_chosen = [*_p_chosen(resampled_means(scores, rng), seconds, price, margin)]
    rows = [metric.score(row[~np.isnan(row)]) for row in levelled(scores)]
    return [
        Standing(arm, float(row.mean()), interval(row, rng, metric), len(row), share)
        for arm, row, share in zip(arms, rows, p_chosen, strict=True)
    ]


def _left(bounds: Matrix, work: Matrix, margin: float, knee: bool) -> NDArray[np.intp]:
    """Positions of those that stay in the race."""
    no_slower = np.asarray(work[:, None] <= work[None, :])
    np.fill_diagonal(no_slower, False)
    beaten = bounds > margin
    if knee:
        beaten &= no_slower
    safe = np.all(bounds >= -margin, axis=1)
    fastest = np.asarray(work == work.min())
    if fastest.sum() == 1 and safe[fastest].all():
        return np.flatnonzero(fastest)
    beaten_by_faster = np.any(bounds > 0, axis=0) & (no_slower & safe[:, None]).any(0)
    return np.flatnonzero(~beaten.any(0) & ~beaten_by_faster)


def _near(score: Matrix, within: float) -> NDArray[np.bool_]:
    best = score.max(-1, keepdims=True)
    return np.asarray(score >= best - within - 1e-12)


def _p_chosen(means: Matrix, seconds: Matrix, price: float, within: float) -> list[float]:
    near = _near(means - price * seconds, within)
    by_speed = np.argsort(seconds, kind="stable")
    taken = by_speed[near[:, by_speed].argmax(1)]
    return [float(share) for share in np.bincount(taken, minlength=len(seconds)) / len(means)]


def scores_of(
    reruns: pd.DataFrame, finalists: list[str], metric: Metric
) -> tuple[Matrix, list[str]]:
    """Scores [k, s] of the finalists none of whose reruns failed, seeds ascending."""
    failed = set(reruns.loc[reruns[metric.name].isna(), "trial"])
    arms = [trial for trial in finalists if trial not in failed]
    rows = reruns[reruns["trial"].isin(arms)]
    table = rows.pivot(index="trial", columns="seed", values=metric.name).sort_index(axis=1)
    return metric.score(table.reindex(arms).to_numpy(float)), arms


def arms_of(trials: pd.DataFrame) -> dict[str, str]:
    """Trial -> its arm."""
    return {
        str(trial): str(name)
        for trial, name in zip(trials["trial"], trials["divergence"], strict=True)
    }


def are_weighted(trials: list[str], arms: Mapping[str, str]) -> NDArray[np.bool_]:
    """[k]: which trials are weighted. They vary alike; baselines may vary much more, or less."""
    # One that has not been rerun yet has no arm among the reruns, and no bounds either.
    return np.array([arms.get(trial) not in BASELINES for trial in trials], dtype=bool)


def complete(values: Matrix) -> Matrix:
    """Without the seeds of a round that was cut short."""
    counts = (~np.isnan(values)).sum(1)
    if not counts.size:
        return values
    return values[:, ~np.isnan(values[counts == counts.max()]).any(0)]
