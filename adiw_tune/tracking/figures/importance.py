"""Which settings matter: importance of each parameter for accuracy and for work."""

from __future__ import annotations

import pandas as pd

from adiw_tune.tracking.figures.chart import Bars, Chart, Panel
from adiw_tune.tracking.outcome import Outcome

_COLOURS = {"accuracy": "#0072B2", "work_s": "#8C6D1F"}
_TITLES = {"accuracy": "share of accuracy's variation", "work_s": "share of work's variation"}
_MOST_PARAMETERS = 15


def importance_chart(outcome: Outcome) -> Chart:
    """Bars for accuracy beside bars for work, both in the order of importance for accuracy."""
    ranked = outcome.importance.sort_values("accuracy", ascending=False).head(_MOST_PARAMETERS)
    return Chart(
        title="Which settings matter",
        subtitle="Share of the variation between trials that each parameter explains",
        panels=[_panel(ranked, objective) for objective in ("accuracy", "work_s")],
        columns=2,
        note="" if len(ranked) else "There are too few trials to say which settings matter.",
    )


def _panel(ranked: pd.DataFrame, objective: str) -> Panel:
    names = [str(name) for name in ranked["parameter"]]
    values = [float(value) for value in ranked[objective]]
    texts = [f"{100 * value:.0f}%" for value in values]
    bars = Bars(names, values, [_COLOURS[objective]] * len(names), texts)
    return Panel([bars], _TITLES[objective], categories=names, x_range=(0.0, 1.15))
