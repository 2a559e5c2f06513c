"""The Pareto front of accuracy against training time."""

import pandas as pd

FINISHED = "finished"


def mark_front(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with a column ``on_front``: finished, and no finished trial dominates it.

    Args:
        trials: columns ``accuracy`` (more is better), ``train_seconds`` (less is better) and
            ``status``; only rows whose status is ``finished`` compete. One trial
            dominates another if it is as good in both and better in one; equals stand together.
    """
    by_time = trials[trials["status"] == FINISHED].sort_values(
        ["train_seconds", "accuracy"], ascending=[True, False]
    )
    best_before = by_time["accuracy"].cummax().shift(fill_value=float("-inf"))
    first = by_time["accuracy"] > best_before  # of the trials that are equal
    equals = [by_time["train_seconds"], by_time["accuracy"]]
    keep = first.groupby(equals, dropna=False).transform("any")
    return trials.assign(on_front=keep.reindex(trials.index, fill_value=False).astype(bool))


def pareto_front(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the front, the fastest first."""
    marked = mark_front(trials)
    return (
        marked[marked["on_front"]].sort_values(["train_seconds", "number"]).reset_index(drop=True)
    )
