"""Whether weighting is worth it: what it gains over plain training, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adiw_tune.arms import BASELINES
from adiw_tune.decide.evidence import ERROR, are_weighted, arms_of, complete, scores_of
from adiw_tune.decide.paired import (
    MIN_SEEDS,
    Matrix,
    levelled,
    lower_bounds,
    lower_bounds_over,
)
from adiw_tune.decide.policies import Policy, default_policy, parse_policy
from adiw_tune.metrics import Metric

# ERROR is the highest probability of reporting a gain that does not exist, and also that of
# understating one. Early stopping gets the smaller part, since the final answer decides more often.
_RACE_ERROR = 0.2 * ERROR
_ANSWER_ERROR = ERROR - _RACE_ERROR

WorthIt = Literal["yes", "no", "undecided"]
Positions: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Gain:
    """The best of the weighted finalists against the best of the baselines, by their means.

    Args:
        weighting, baseline: the trials compared.
        gain: score of ``weighting`` minus that of ``baseline``, in the metric's unit, above 0 if
            weighting is better: the mean difference over the seeds that both have.
        interval: [low, high], 95%. low is the smallest lower bound over all baselines, high the
            upper bound over ``baseline``. All bounds hold for all weighted finalists at once, and
            upper bounds for all baselines, so that selecting the best pair does not bias them.
            None if there are only single runs.
        work_ratio: work of ``weighting`` by that of ``baseline``.
        worth_it: yes if the gain is above 0, no if it is less than what counts as about equal
            (a percentage point, or 1% of the baseline's value), each with this confidence; else
            undecided. Not yes if a baseline is ``not_compared``, which may be the best one; not no
            if a weighted finalist is, which may gain more.
        not_compared: divergences and baselines that have no trial, or too few reruns of their
            finalist. A weighted finalist that failed when rerun is not among them.
    """

    weighting: str
    baseline: str
    gain: float
    interval: list[float] | None
    work_ratio: float
    worth_it: WorthIt
    not_compared: tuple[str, ...] = ()


def measured_gain(
    finalists: pd.DataFrame, reruns: pd.DataFrame, metric: Metric, untried: Sequence[str] = ()
) -> Gain | None:
    """The gain by the finalists with enough reruns.

    None if there are no weighted ones or no baselines among these.

    Args:
        finalists: columns trial, divergence and work_s. Reruns of other trials do not count: these
            may be finalists of before an extension, which get no more seeds.
        reruns: columns trial, seed and of the metric's name; NaN where a rerun failed.
        metric: that the search chooses by.
        untried: baselines that were to be compared and have no trial.
    """
    seeds = reruns.groupby("trial")["seed"].nunique()
    known = finalists[finalists["trial"].isin(seeds.index[seeds >= MIN_SEEDS])]
    work, arms = known.set_index("trial")["work_s"].to_dict(), arms_of(known)
    values, names = scores_of(reruns, list(known["trial"]), metric)
    weighted, plain = _sides(names, arms)
    if not len(weighted) or not len(plain):
        return None
    values = complete(values)
    mean = np.nanmean(levelled(values), 1)
    lower, upper, answer = _answered(values, weighted, plain, metric)
    ahead = (lower > 0).all(1)
    candidates = np.flatnonzero(ahead) if ahead.any() else np.arange(len(weighted))
    i, j = candidates[mean[weighted[candidates]].argmax()], mean[plain].argmax()
    best, base = weighted[i], plain[j]
    missing = [*_lacking_reruns(finalists, names, reruns, metric), *untried]
    may_change = {"yes": any(name in BASELINES for name in missing)}
    may_change["no"] = any(name not in BASELINES for name in missing)
    return Gain(
        weighting=names[best],
        baseline=names[base],
        gain=float(np.nanmean(values[best] - values[base])),
        interval=[float(lower[i].min()), float(upper[i, j])],
        work_ratio=float(work[names[best]] / work[names[base]]),
        worth_it="undecided" if may_change.get(answer) else answer,
        not_compared=tuple(missing),
    )


def _lacking_reruns(
    finalists: pd.DataFrame, compared: list[str], reruns: pd.DataFrame, metric: Metric
) -> list[str]:
    """The arms of finalists that are not ``compared``, but of weighted ones that failed."""
    failed = set(reruns.loc[reruns[metric.name].isna(), "trial"])
    return [
        arm
        for trial, arm in arms_of(finalists).items()
        if trial not in compared and (arm in BASELINES or trial not in failed)
    ]


def single_run_gain(
    trials: pd.DataFrame, metric: Metric, untried: Sequence[str] = ()
) -> Gain | None:
    """The gain by single runs alone, which decides nothing.

    None if there are no weighted trials or no baselines among these.

    Args:
        trials: columns trial, divergence, of the metric's name, and work_s.
        metric: that the search chooses by.
        untried: as for :func:`measured_gain`.
    """
    by_score = trials.assign(score=metric.score(trials[metric.name])).sort_values("score")
    is_plain = by_score["divergence"].isin(BASELINES)
    if is_plain.all() or not is_plain.any():
        return None
    best, base = (by_score[side].iloc[-1] for side in (~is_plain, is_plain))
    gain, ratio = float(best["score"] - base["score"]), float(best["work_s"] / base["work_s"])
    compared = (str(best["trial"]), str(base["trial"]))
    return Gain(*compared, gain, None, ratio, "undecided", tuple(untried))


def contest(
    reruns: pd.DataFrame, finalists: list[str], arms: Mapping[str, str], metric: Metric
) -> list[str]:
    """Which finalists are to run the next seed, to know whether weighting is worth it.

    Seeds count as in :func:`adiw_tune.decide.race`, and errors of the rounds add up as there. From
    ``MIN_SEEDS`` on, a weighted finalist is out once another weighted one is better, and a baseline
    once another baseline is; all are out once the answer is yes or no.

    Args:
        reruns: columns trial, seed and of the metric's name; NaN where a rerun failed.
        finalists: trials.
        arms: trial -> its arm.
        metric: that the search chooses by.

    Returns:
        Trials of ``finalists``, in its order; none where weighted ones or baselines are missing.
    """
    values, names = scores_of(reruns, finalists, metric)
    weighted, plain = _sides(names, arms)
    if not len(weighted) or not len(plain):
        return []
    answer, weighted, plain = _raced(values, weighted, plain, metric)
    racing = [*weighted, *plain] if answer == "undecided" else []
    return [names[position] for position in sorted(racing)]


def _sides(trials: list[str], arms: Mapping[str, str]) -> tuple[Positions, Positions]:
    """Of the weighted trials, and of the baselines."""
    weighted = are_weighted(trials, arms)
    return np.flatnonzero(weighted), np.flatnonzero(~weighted)


def _answered(
    values: Matrix, weighted: Positions, plain: Positions, metric: Metric
) -> tuple[Matrix, Matrix, WorthIt]:
    """Bounds of gains [w, b], and the answer in the end."""
    lower, upper = _bounds(values, weighted, plain, _ANSWER_ERROR)
    mean = np.nanmean(levelled(values), 1)[plain]
    answer = _answer(lower, upper, mean, metric)
    if answer == "yes" and _raced(values, weighted, plain, metric)[0] == "no":
        # The race ended with no, as the spread looked small. No error is left for a later yes.
        return lower, upper, "no" if _is_small(upper, mean, metric) else "undecided"
    return lower, upper, answer


def _raced(
    values: Matrix, weighted: Positions, plain: Positions, metric: Metric
) -> tuple[WorthIt, Positions, Positions]:
    """The answer once it is decided, and who is left of either side."""
    for seeds in range(MIN_SEEDS, values.shape[1] + 1):
        seen = values[:, :seeds]
        if np.isnan(seen[[*weighted, *plain]]).any():
            break
        rounds = seeds - MIN_SEEDS + 1
        error = _RACE_ERROR / (rounds * (rounds + 1)) / 2  # to end the race, and to drop some
        mean = np.nanmean(levelled(seen), 1)
        answer = _answer(*_bounds(seen, weighted, plain, error), mean[plain], metric)
        if answer != "undecided":
            return answer, weighted, plain
        weighted, plain = (_not_beaten(seen, side, error) for side in (weighted, plain))
    return "undecided", weighted, plain


def _not_beaten(values: Matrix, side: Positions, error: float) -> Positions:
    return np.asarray(side[~(lower_bounds(values[side], error) > 0).any(0)])


def _bounds(
    values: Matrix, weighted: Positions, plain: Positions, error: float
) -> tuple[Matrix, Matrix]:
    """[w, b] and [w, b]: by how much w is better than b, at least and at most.

    Bounds over a baseline use only the variances of the differences from it. So a baseline that
    varies much, as training on few rows does, does not widen the bounds over the others. A gain has
    to hold over every baseline, so lower bounds need no correction for their number. Upper bounds
    do: they are read for the baseline that happened to be the best.
    """
    sides, few = values[weighted], error / len(plain)
    lower = [lower_bounds_over(sides, values[j], error) for j in plain]
    upper = [-lower_bounds_over(-sides, -values[j], few) for j in plain]
    return np.stack(lower, 1), np.stack(upper, 1)


def _answer(lower: Matrix, upper: Matrix, plain: Matrix, metric: Metric) -> WorthIt:
    """By the bounds of gains [w, b] and the means of the baselines [b]."""
    if (lower > 0).all(1).any():
        return "yes"
    return "no" if _is_small(upper, plain, metric) else "undecided"


def _is_small(upper: Matrix, plain: Matrix, metric: Metric) -> bool:
    """Whether every gain over the best baseline is less than what counts as about equal."""
    best = plain.argmax()
    about_equal = parse_policy(default_policy(metric), metric).margin(plain[best])
    return bool((upper[:, best] < about_equal).all())


def verdict(gain: Gain, arms: Mapping[str, str], picked: str, policy: Policy) -> str:
    """The gain in a sentence without its full stop, for the trial ``picked`` by ``policy``.

    It names the weighting that is compared if another one is picked, or the answer is undecided.
    """
    metric, baseline = policy.metric, arms[gain.baseline]
    takes_plain = arms[picked] in BASELINES
    is_gain_of = arms[picked] == arms[gain.weighting]
    named = not (takes_plain or is_gain_of)
    weighting = f"weighting by {arms[gain.weighting]}" if named else "weighting"
    amount = metric.difference(gain.gain) + ("" if metric.is_share else f" of {metric.name}")
    if gain.interval is not None:
        amount += f" {metric.difference_interval(gain.interval)}"
    cost = f"over {baseline} at {gain.work_ratio:.1f} times its work"
    taken = f"policy {policy.text} takes {arms[picked]}"
    if gain.worth_it == "yes":
        is_faster = picked == gain.baseline and gain.work_ratio > 1
        taken += ", which is faster" if is_faster else ""
        return f"{weighting} gains {amount} {cost}" + ("" if is_gain_of else f"; {taken}")
    if gain.worth_it == "no":
        what = f"train with {arms[picked]}" if takes_plain else taken
        if picked == gain.weighting and gain.work_ratio < 1:
            what = f"{arms[picked]} is picked because it is faster"
        return f"weighting does not help here: {what} ({weighting} gains {amount} {cost})"
    told = f"{arms[gain.weighting]} gains {amount} {cost}"
    if gain.interval is None:
        return f"single runs do not tell whether weighting helps: {told}"
    if gain.not_compared:
        names = ", ".join(gain.not_compared)
        return f"whether weighting helps is not known, for lack of runs of {names}: {told}"
    return f"too close to tell whether weighting helps: {told}"
