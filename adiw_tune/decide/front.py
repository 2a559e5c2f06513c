"""The Pareto front of accuracy against work, and the hypervolume that it dominates."""

import numpy as np
import pandas as pd

FINISHED = "finished"


def mark_front(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with a column ``on_front``: finished, and no finished trial dominates it.

    Args:
        trials: columns ``accuracy`` (more is better), ``work_s`` (less is better) and
            ``status``; only rows whose status is ``finished`` compete. One trial
            dominates another if it is as good in both and better in one; equals stand together.
    """
    by_work = trials[trials["status"] == FINISHED].sort_values(
        ["work_s", "accuracy"], ascending=[True, False]
    )
    best_before = by_work["accuracy"].cummax().shift(fill_value=float("-inf"))
    first = by_work["accuracy"] > best_before  # of the trials that are equal
    equals = [by_work["work_s"], by_work["accuracy"]]
    keep = first.groupby(equals, dropna=False).transform("any")
    return trials.assign(on_front=keep.reindex(trials.index, fill_value=False).astype(bool))


def pareto_front(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the front, the fastest first."""
    marked = mark_front(trials)
    return marked[marked["on_front"]].sort_values(["work_s", "number"]).reset_index(drop=True)


def hypervolume(trials: pd.DataFrame, reference: tuple[float, float]) -> float:
    """The area that the finished trials dominate, in accuracy times seconds of work.

        integral, over the work w from 0 to the reference's, of
        max(0, best accuracy of the trials that took at most w - the reference's accuracy)

    Args:
        trials: columns accuracy, work_s and status.
        reference: (accuracy, work_s) of the worst corner; a trial that is no better than it in
            both adds nothing.
    """
    finished = trials[trials["status"] == FINISHED]
    accuracy = finished["accuracy"].to_numpy(float) - reference[0]
    work = finished["work_s"].to_numpy(float)
    counts = (accuracy > 0) & (work < reference[1])
    accuracy, work = accuracy[counts], work[counts]
    order = np.argsort(work)
    width = np.diff(work[order], append=reference[1])
    return float(np.maximum.accumulate(accuracy[order]) @ width)


def hypervolume_curve(trials: pd.DataFrame) -> pd.Series:
    """The hypervolume after 1, 2, ... finished trials, by the trial that ended.

    The reference is accuracy 0 and the most work of any finished trial: one corner for the whole
    curve, so that it never falls. A slower trial that ends later moves the corner of the next call.

    Args:
        trials: columns trial, accuracy, work_s and status, rows in the order in which they ended.
    """
    finished = trials[trials["status"] == FINISHED]
    reference = (0.0, float(finished["work_s"].max()))
    volumes = [hypervolume(finished[:count], reference) for count in range(1, len(finished) + 1)]
    return pd.Series(volumes, index=finished["trial"], name="hypervolume", dtype=float)
