"""What had been reached by when: in each trial's own work, and in the work of the search."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from adiw_tune.tracking.colours import GREY, look_of
from adiw_tune.tracking.figures.chart import Chart, Line, Mark, Panel
from adiw_tune.tracking.figures.front import ACCURACY, WORK
from adiw_tune.tracking.outcome import Outcome

CUT = "cut by the scheduler"
_BEST = "best of all trials so far"


def anytime_chart(outcome: Outcome) -> Chart:
    """Accuracy along each trial, cut ones dashed, beside the front's hypervolume."""
    return Chart(
        title="What had been reached by when",
        subtitle=f"Dashed and faint: {CUT}, so not on the front; dark: {_BEST}",
        panels=[
            Panel([*_trials(outcome.curves), *_best_so_far(outcome.curves)], WORK, ACCURACY),
            Panel(
                [_hypervolume(outcome)],
                "work of all trials so far, in seconds",
                "hypervolume of the front",
            ),
        ],
        columns=2,
        legend="trials",
        note="" if len(outcome.curves) else "No trial has finished an epoch.",
    )


def _trials(curves: pd.DataFrame) -> Iterator[Line]:
    """Cut trials first, so that the others are drawn over them."""
    whole = curves["status"] == "finished"
    for cut, some in ((True, curves[curves["status"] == "pruned"]), (False, curves[whole])):
        for (divergence, trial), rows in some.groupby(["divergence", "trial"], sort=True):
            ordered = rows.sort_values("epoch")
            yield Line(
                list(ordered["work_s"]),
                list(ordered["accuracy"]),
                look_of(str(divergence)).colour,
                name=CUT if cut else str(divergence),
                hover=f"{divergence}, trial {trial}" + (f", {CUT}" if cut else ""),
                dash="dashed" if cut else "solid",
                faint=cut,
            )


def _best_so_far(curves: pd.DataFrame) -> list[Mark]:
    ordered = curves.dropna(subset=["accuracy", "work_s"]).sort_values("work_s")
    best = ordered["accuracy"].cummax()
    line = Line(list(ordered["work_s"]), list(best), "#1A1A1A", name=_BEST, step=True, width=2.5)
    return [line] if len(ordered) else []


def _hypervolume(outcome: Outcome) -> Line:
    """Against the work of all trials, cut and failed ones included, in the order they began."""
    spent = outcome.trials["work_s"].fillna(0.0).cumsum()
    at_each = spent[outcome.trials["status"] == "finished"]
    return Line(
        list(at_each)[: len(outcome.hypervolume)],
        [float(value) for value in outcome.hypervolume],
        GREY,
        hover="hypervolume",
        step=True,
        width=2.5,
    )
