"""What a search came to: everything that its pages in MLflow and its report are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric

# Columns of `Outcome.trials` that are not a trial's settings, nor its metric.
TRIAL_COLUMNS = frozenset(
    {"trial", "number", "divergence", "status", "work_s", "wall_s", "retimed_s"}
    | {"epochs", "rung", "reason", "config", "on_front"}
)


@dataclass(frozen=True)
class Outcome:
    """The tables of a search and the decision, for `SearchRuns.finish`.

    A table without rows has its columns all the same.

    Args:
        trials: a row for each search trial: trial, number, divergence, status (finished, pruned,
            stopped or failed), the metric by its name, work_s, wall_s, retimed_s (NaN unless it
            was timed alone), epochs, rung (the epoch at which it was cut; NaN unless pruned),
            reason and on_front. Further columns are shown as the trial's settings.
        decision: divergence, trial, number, metric, value, interval ([low, high] or None), work_s,
            wall_s, retimed_s (or None), rule, reason, tie, tied, seeds, p_best, provisional and
            best_per_divergence; None if there was nothing to decide from, which makes a parent run
            FAILED that would be FINISHED.
        reruns: a row for each finished rerun over a seed: trial (the one rerun), divergence, seed,
            the metric by its name, work_s.
        curves: a row for each epoch of each search trial: trial, divergence, status, epoch,
            the metric by its name, work_s.
        importance: of each parameter, as shares that add up to 1: parameter, the metric by its
            name, work_s.
        hypervolume: of the front after 1, 2, ... finished trials, in the order of `trials`.
        winner_command: the command line that trains the winner again.
        skipped: how many points the space called infeasible, which are no trials.
        status: MLflow's status for the parent run: FINISHED, FAILED or KILLED.
        metric: what the search chose by.
    """

    trials: pd.DataFrame
    decision: Mapping[str, Any] | None
    reruns: pd.DataFrame
    curves: pd.DataFrame
    importance: pd.DataFrame
    hypervolume: Sequence[float]
    winner_command: str
    skipped: int = 0
    status: str = "FINISHED"
    metric: Metric = ACCURACY

    @property
    def front(self) -> pd.DataFrame:
        """The rows of `trials` on the front, the cheapest first."""
        on_front = self.trials["on_front"].astype(bool)
        return self.trials[on_front].sort_values(["work_s", "number"])

    @property
    def best(self) -> str | None:
        """The winner's trial."""
        return None if self.decision is None else str(self.decision["trial"])
