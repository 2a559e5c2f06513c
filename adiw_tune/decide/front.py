"""The Pareto front of accuracy against training time."""

import pandas as pd

FINISHED = "finished"


def mark_front(trials: pd.DataFrame) -> pd.DataFrame:
    """``trials`` with a column ``on_front``: no finished trial beats it in one and ties in the other.

    Args:
        trials: columns ``accuracy`` (more is better), ``train_seconds`` (less is better) and
            ``status``; only rows whose status is ``finished`` compete. Equal rows stand together.
    """
    by_time = trials[trials["status"] == FINISHED].sort_values(
        ["train_seconds", "accuracy"], ascending=[True, False]
    )
    best_so_far = by_time["accuracy"].cummax()
    best_before = best_so_far.shift(fill_value=float("-inf"))
    twin = by_time.duplicated(["train_seconds", "accuracy"]) & (by_time["accuracy"] == best_so_far)
    keep = (by_time["accuracy"] > best_before) | twin
    return trials.assign(on_front=keep.reindex(trials.index, fill_value=False).astype(bool))


def pareto_front(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of the front, the fastest first."""
    marked = mark_front(trials)
    return (
        marked[marked["on_front"]].sort_values(["train_seconds", "number"]).reset_index(drop=True)
    )
