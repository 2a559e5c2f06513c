"""What a search came to: everything that its pages in MLflow and its report are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.tracking.rows_page import SuspectRows

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
        decision: as :meth:`adiw_tune.decide.Decision.as_dict` has it; None if there was nothing to
            decide from, which makes a parent run FAILED that would be FINISHED.
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
        suspects: the training rows that look wrong; None if no run tells of any.
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
    suspects: SuspectRows | None = None

    @property
    def front(self) -> pd.DataFrame:
        """The rows of `trials` on the front, the cheapest first."""
        return with_pick(self.trials, None)

    @property
    def front_with_pick(self) -> pd.DataFrame:
        """The same, and the winner's row if it is not among them."""
        return with_pick(self.trials, self.best)

    @property
    def means(self) -> dict[str, float]:
        """Trial -> mean over seeds."""
        return means_over_seeds(self.reruns, self.decision, self.metric)

    @property
    def best(self) -> str | None:
        """The winner's trial."""
        return None if self.decision is None else str(self.decision["trial"])


def with_pick(trials: pd.DataFrame, pick: str | None) -> pd.DataFrame:
    """The trials on the front and the one picked, if any, the cheapest first.

    Args:
        trials: as :meth:`adiw_tune.record.history.History.marked`.
        pick: a trial.
    """
    shown = trials["on_front"].astype(bool) | (trials["trial"].astype(str) == pick)
    return trials[shown].sort_values(["work_s", "number"])


def means_over_seeds(
    reruns: pd.DataFrame, decision: Mapping[str, Any] | None, metric: Metric
) -> dict[str, float]:
    """Trial -> the metric's mean over seeds, of those that were rerun and did not fail.

    Of what the decision compares, its means: as if each had run on all seeds.

    Args:
        reruns: columns trial and of the metric's name, NaN where a rerun failed.
        decision: what was decided by them.
        metric: that of the search.
    """
    sums = reruns.groupby(reruns["trial"].astype(str))[metric.name]
    means = sums.agg(lambda values: values.mean(skipna=False)).dropna().to_dict()
    best = decision["best_per_divergence"] if decision else []
    return {**means, **{row["trial"]: row["value"] for row in best if row["seeds"]}}
