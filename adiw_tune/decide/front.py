"""The Pareto front of a metric against work, and the hypervolume that it dominates."""

import numpy as np
import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric

FINISHED = "finished"


def mark_front(trials: pd.DataFrame, metric: Metric = ACCURACY) -> pd.DataFrame:
    """``trials`` with a column ``on_front``: finished, and no finished trial dominates it.

    Args:
        trials: columns of the metric's name, ``work_s`` (less is better) and ``status``; only
            rows whose status is ``finished`` compete. One trial dominates another if it is as
            good in both and better in one; equals stand together.
        metric: what is to be good.
    """
    finished = trials[trials["status"] == FINISHED]
    by_work = finished.assign(score=metric.score(finished[metric.name])).sort_values(
        ["work_s", "score"], ascending=[True, False]
    )
    best_before = by_work["score"].cummax().shift(fill_value=float("-inf"))
    first = by_work["score"] > best_before  # of the trials that are equal
    equals = [by_work["work_s"], by_work["score"]]
    keep = first.groupby(equals, dropna=False).transform("any")
    return trials.assign(on_front=keep.reindex(trials.index, fill_value=False).astype(bool))


def pareto_front(trials: pd.DataFrame, metric: Metric = ACCURACY) -> pd.DataFrame:
    """The rows of the front, the fastest first."""
    marked = mark_front(trials, metric)
    return marked[marked["on_front"]].sort_values(["work_s", "number"]).reset_index(drop=True)


def hypervolume(
    trials: pd.DataFrame, reference: tuple[float, float], metric: Metric = ACCURACY
) -> float:
    """The area that the finished trials dominate, in the metric's unit times seconds of work.

        integral, over the work w from 0 to the reference's, of
        max(0, by how much the best trial that took at most w is better than the reference)

    Args:
        trials: columns of the metric's name, work_s and status.
        reference: (value, work_s) of the worst corner; a trial that is no better than it in
            both adds nothing.
        metric: what is to be good.
    """
    finished = trials[trials["status"] == FINISHED]
    gain = metric.score(finished[metric.name].to_numpy(float) - reference[0])
    work = finished["work_s"].to_numpy(float)
    counts = (gain > 0) & (work < reference[1])
    gain, work = gain[counts], work[counts]
    order = np.argsort(work)
    width = np.diff(work[order], append=reference[1])
    return float(np.maximum.accumulate(gain[order]) @ width)


def worst_corner(trials: pd.DataFrame, metric: Metric = ACCURACY) -> tuple[float, float]:
    """(value, work_s) that no finished trial is worse than: the reference of a search.

    The value is the worst that the metric can have, such as accuracy 0; where there is no worst
    one, as of rmse, that of the worst finished trial. The work is the most of any.
    """
    finished = trials[trials["status"] == FINISHED]
    values = finished[metric.name]
    worst = values.min() if metric.greater_is_better else values.max()
    value = metric.worst if np.isfinite(metric.worst) else worst
    return float(value), float(finished["work_s"].max())


def hypervolume_curve(trials: pd.DataFrame, metric: Metric = ACCURACY) -> pd.Series:
    """The hypervolume after 1, 2, ... finished trials, by the trial that ended.

    The reference is the :func:`worst_corner` of all: one for the whole curve, so that it never
    falls. A slower trial that ends later moves the corner of the next call.

    Args:
        trials: columns trial, of the metric's name, work_s and status, rows in the order in which
            they ended.
        metric: what is to be good.
    """
    finished = trials[trials["status"] == FINISHED]
    reference = worst_corner(finished, metric)
    counts = range(1, len(finished) + 1)
    volumes = [hypervolume(finished[:count], reference, metric) for count in counts]
    return pd.Series(volumes, index=finished["trial"], name="hypervolume", dtype=float)
