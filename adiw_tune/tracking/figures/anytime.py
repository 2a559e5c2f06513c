"""What had been reached by when: in each trial's own work, and in the work of the search."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from adiw_tune.arms import BASELINES
from adiw_tune.metrics import Metric
from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures.chart import Chart, Line, Mark, Panel
from adiw_tune.tracking.figures.front import WORK, on_select
from adiw_tune.tracking.outcome import Outcome

CUT = "cut by the scheduler"
_DARK = "#1A1A1A"
_BEST = "best of all trials so far"


def anytime_chart(outcome: Outcome) -> Chart:
    """The metric along each trial, cut ones dashed, beside the front's hypervolume."""
    return Chart(
        title="What had been reached by when",
        subtitle=f"Dashed and faint: {CUT}; {_plain(outcome)}{WORK}",
        panels=[_metric_panel(outcome), _hypervolume_panel(outcome)],
        columns=2,
        legend="trials",
        note="" if len(outcome.curves) else "No trial has finished an epoch.",
    )


def _plain(outcome: Outcome) -> str:
    return "dotted: plain training; " if outcome.curves["divergence"].isin(BASELINES).any() else ""


def _metric_panel(outcome: Outcome) -> Panel:
    curves, metric = outcome.curves, outcome.metric
    marks = [*_trials(curves, metric), *_best_so_far(curves, metric)]
    return Panel(marks, "work of the trial (s)", on_select(metric.name))


def _trials(curves: pd.DataFrame, metric: Metric) -> Iterator[Line]:
    """Cut trials first, so that the others are drawn over them."""
    pruned = curves["status"] == "pruned"
    for cut, some in ((True, curves[pruned]), (False, curves[~pruned])):
        for (divergence, trial), rows in some.groupby(["divergence", "trial"], sort=True):
            ordered = rows.sort_values("epoch")
            yield Line(
                list(ordered["work_s"]),
                list(ordered[metric.name]),
                look_of(str(divergence)).colour,
                name=CUT if cut else str(divergence),
                hover=f"{divergence}, trial {trial}" + (f", {CUT}" if cut else ""),
                dashed=cut,
                dotted=divergence in BASELINES,
                faint=cut,
            )


def _best_so_far(curves: pd.DataFrame, metric: Metric) -> list[Mark]:
    ordered = curves.dropna(subset=[metric.name, "work_s"]).sort_values("work_s")
    best = metric.score(metric.score(ordered[metric.name]).cummax())
    line = Line(list(ordered["work_s"]), list(best), _DARK, name=_BEST, step=True, width=2.5)
    return [line] if len(ordered) else []


def _hypervolume_panel(outcome: Outcome) -> Panel:
    """Against the work of all trials, cut and failed ones included, in the order they began."""
    spent = pd.to_numeric(outcome.trials["work_s"]).fillna(0.0).cumsum()
    line = Line(
        list(spent[outcome.trials["status"] == "finished"])[: len(outcome.hypervolume)],
        [float(value) for value in outcome.hypervolume],
        _DARK,
        hover="hypervolume",
        step=True,
        width=2.5,
    )
    return Panel([line], "work of all trials so far (s)", "hypervolume of the front")
