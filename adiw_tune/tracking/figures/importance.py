"""Which settings matter: importance of each parameter for the metric and for work."""

from __future__ import annotations

import pandas as pd

from adiw_tune.tracking.figures.chart import Bars, Chart, Panel
from adiw_tune.tracking.outcome import Outcome

_METRIC, _WORK = "#0072B2", "#8C6D1F"
_MOST_PARAMETERS = 15


def importance_chart(outcome: Outcome) -> Chart:
    """Bars for the metric beside bars for work, both in the order of importance for the metric."""
    name = outcome.metric.name
    ranked = outcome.importance.sort_values(name, ascending=False).head(_MOST_PARAMETERS)
    return Chart(
        title="Which settings matter",
        subtitle="Share of the variation between trials that each parameter explains",
        panels=[_panel(ranked, name, name, _METRIC), _panel(ranked, "work_s", "work", _WORK)],
        columns=2,
        note="" if len(ranked) else "There are too few trials to say which settings matter.",
    )


def _panel(ranked: pd.DataFrame, column: str, title: str, colour: str) -> Panel:
    names = [str(name) for name in ranked["parameter"]]
    values = [float(value) for value in ranked[column]]
    texts = [f"{100 * value:.0f}%" for value in values]
    bars = Bars(names, values, [colour] * len(names), texts)
    title = f"share of {title}'s variation"
    return Panel([bars], title, categories=names, x_range=(0.0, 1.15))
