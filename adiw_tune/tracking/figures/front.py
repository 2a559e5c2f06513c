"""The front, a metric against work: of all divergences together, and of each by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from adiw_tune.arms import BASELINES
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.tracking import words
from adiw_tune.tracking.colours import GREY, look_of
from adiw_tune.tracking.figures.chart import Chart, Line, Mark, Panel, Points
from adiw_tune.tracking.outcome import TRIAL_COLUMNS, Outcome

WORK = "work in seconds, calibrated alone on the device"
SHORT_WORK = "work (s)"  # where panels are narrow; the subtitle says what it is
HOLLOW = "hollow: plain training"
_LEGEND = "divergence or method"


def on_select(metric: str) -> str:
    """What an axis of the metric called so is named."""
    return f"{metric} on the select split"


def hollow(names: Iterable[str]) -> str:
    """What to say of hollow markers below a title, if these divergences have one."""
    return f"; {HOLLOW}" if set(names) & set(BASELINES) else ""


def front_chart(outcome: Outcome) -> Chart:
    """All finished trials, the front among them, and the winner as a star."""
    metric = outcome.metric
    drawn = drawable(outcome.trials, metric)
    marks: list[Mark] = [_front_line(drawn[drawn["on_front"]], "front", metric)]
    for divergence, rows in drawn.groupby("divergence", sort=True):
        marks += _points(str(divergence), rows, metric)
    marks += _star(drawn[drawn["trial"].astype(str) == outcome.best], metric)
    return Chart(
        title=f"{words.title(metric)} against work",
        subtitle=_subtitle(outcome.trials, drawn, metric),
        panels=[Panel(marks, WORK, on_select(metric.name))],
        legend=_LEGEND,
        note="" if len(drawn) else "No trial has finished.",
    )


def per_divergence_chart(outcome: Outcome) -> Chart:
    """A panel for each divergence with its own front; the other trials are grey behind it."""
    metric = outcome.metric
    drawn = drawable(outcome.trials, metric)
    panels = [
        _own_panel(drawn, str(divergence), outcome.best, metric)
        for divergence in sorted(drawn["divergence"].unique())
    ]
    return Chart(
        title="The front of each divergence",
        subtitle=f"Grey: the trials of the others{hollow(drawn['divergence'])}; "
        f"{_better(metric)}; {WORK}",
        panels=panels or [Panel([], SHORT_WORK, metric.name)],
        columns=min(3, max(1, len(panels))),
        shared=True,
        note="" if panels else "No trial has finished.",
    )


def drawable(trials: pd.DataFrame, metric: Metric = ACCURACY) -> pd.DataFrame:
    """Return the finished trials whose metric and work are finite numbers."""
    numbers = trials[[metric.name, "work_s"]].apply(pd.to_numeric, errors="coerce")
    finite = numbers.replace([float("inf"), -float("inf")], float("nan")).notna().all(axis=1)
    drawn: pd.DataFrame = trials[finite & (trials["status"] == "finished")].copy()
    drawn[numbers.columns] = numbers.loc[drawn.index]
    drawn["on_front"] = drawn["on_front"].astype(bool)
    return drawn


def own_front(rows: pd.DataFrame, metric: Metric = ACCURACY) -> pd.DataFrame:
    """Return the rows that no other of these beats in the metric and in work, cheapest first."""
    ranked = rows.sort_values(
        ["work_s", metric.name], ascending=[True, not metric.greater_is_better]
    )
    score = metric.score(ranked[metric.name])
    return ranked[score > score.cummax().shift(fill_value=float("-inf"))]


def _own_panel(drawn: pd.DataFrame, divergence: str, best: str | None, metric: Metric) -> Panel:
    rows = drawn[drawn["divergence"] == divergence]
    front = own_front(rows, metric)
    others = drawn[drawn["divergence"] != divergence]
    marks: list[Mark] = [
        Points(list(others["work_s"]), list(others[metric.name]), look_of(""), faint=True),
        _front_line(front, "", metric),
        *_points(
            divergence, rows.assign(on_front=rows.index.isin(front.index)), metric, legend=False
        ),
        *_star(rows[rows["trial"].astype(str) == best], metric, legend=False),
    ]
    count = f"{len(rows)} trial{'' if len(rows) == 1 else 's'}"
    return Panel(marks, SHORT_WORK, metric.name, title=f"{divergence}: {count}")


def _front_line(front: pd.DataFrame, name: str, metric: Metric) -> Line:
    front = front.sort_values("work_s")
    return Line(list(front["work_s"]), list(front[metric.name]), GREY, name=name, step=True)


def _points(divergence: str, rows: pd.DataFrame, metric: Metric, legend: bool = True) -> list[Mark]:
    return [
        Points(
            list(some["work_s"]),
            list(some[metric.name]),
            look_of(divergence),
            name=divergence if legend else "",
            hover=[_hover(row, metric) for row in some.to_dict("records")],
            faint=not on_front,
        )
        for on_front, some in rows.groupby("on_front")
    ]


def _star(winner: pd.DataFrame, metric: Metric, legend: bool = True) -> list[Mark]:
    return [
        Points(
            [row["work_s"]],
            [row[metric.name]],
            look_of(str(row["divergence"])),
            name="picked" if legend else "",
            hover=[_hover(row, metric)],
            star=True,
        )
        for row in winner.to_dict("records")
    ]


def _better(metric: Metric) -> str:
    return f"{'upper' if metric.greater_is_better else 'lower'} left is better"


def _subtitle(trials: pd.DataFrame, drawn: pd.DataFrame, metric: Metric) -> str:
    finished = f"{len(drawn)} finished trial{'' if len(drawn) == 1 else 's'}"
    text = f"{finished}, {int(drawn['on_front'].sum())} on the front; {_better(metric)}"
    missing = len(trials) - len(drawn)
    text += f"; {missing} cut, stopped or failed not drawn" if missing else ""
    return text + hollow(drawn["divergence"])


def _hover(row: dict[Any, Any], metric: Metric) -> str:
    value, ours = metric.text(row[metric.name]), TRIAL_COLUMNS | {metric.name}
    lines = [
        f"{row['divergence']}, trial {row['trial']} (number {row['number']})",
        f"{metric.name} {value} in {row['work_s']:.2f} s of work, {row['epochs']} epochs",
        f"{'on the front' if row['on_front'] else 'not on the front'}",
    ]
    settings = {key: value for key, value in row.items() if key not in ours}
    lines += [f"{key} = {short(value)}" for key, value in settings.items() if pd.notna(value)]
    return "\n".join(lines)


def short(value: Any) -> str:
    """Return a setting as it is shown."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
