"""The front, accuracy against work: of all divergences together, and of each by itself."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adiw_tune.tracking.colours import GREY, look_of
from adiw_tune.tracking.figures.chart import Chart, Line, Mark, Panel, Points
from adiw_tune.tracking.outcome import TRIAL_COLUMNS, Outcome

WORK = "work in seconds, calibrated alone on the device"
SHORT_WORK = "work (s)"  # where panels are narrow; the subtitle says what it is
ACCURACY = "accuracy on the select split"
_LEGEND = "divergence or method"


def front_chart(outcome: Outcome) -> Chart:
    """All finished trials, the front among them, and the winner as a star."""
    drawn = drawable(outcome.trials)
    marks: list[Mark] = [_front_line(drawn[drawn["on_front"]], "front")]
    for divergence, rows in drawn.groupby("divergence", sort=True):
        marks += _points(str(divergence), rows)
    marks += _star(drawn[drawn["trial"].astype(str) == outcome.best])
    return Chart(
        title="Accuracy against work",
        subtitle=_subtitle(outcome.trials, drawn),
        panels=[Panel(marks, WORK, ACCURACY)],
        legend=_LEGEND,
        note="" if len(drawn) else "No trial has finished.",
    )


def per_divergence_chart(outcome: Outcome) -> Chart:
    """A panel for each divergence with its own front; the other trials are grey behind it."""
    drawn = drawable(outcome.trials)
    panels = [
        _own_panel(drawn, str(divergence), outcome.best)
        for divergence in sorted(drawn["divergence"].unique())
    ]
    return Chart(
        title="The front of each divergence",
        subtitle=f"Grey: the trials of the others; upper left is better; {WORK}",
        panels=panels or [Panel([], SHORT_WORK, "accuracy")],
        columns=min(3, max(1, len(panels))),
        shared=True,
        note="" if panels else "No trial has finished.",
    )


def drawable(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the finished trials whose accuracy and work are finite numbers."""
    numbers = trials[["accuracy", "work_s"]].apply(pd.to_numeric, errors="coerce")
    finite = numbers.replace([float("inf"), -float("inf")], float("nan")).notna().all(axis=1)
    drawn: pd.DataFrame = trials[finite & (trials["status"] == "finished")].copy()
    drawn[numbers.columns] = numbers.loc[drawn.index]
    drawn["on_front"] = drawn["on_front"].astype(bool)
    return drawn


def own_front(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no other one of these beats in accuracy and in work, cheapest first."""
    ranked = rows.sort_values(["work_s", "accuracy"], ascending=[True, False])
    before = ranked["accuracy"].cummax().shift(fill_value=float("-inf"))
    return ranked[ranked["accuracy"] > before]


def _own_panel(drawn: pd.DataFrame, divergence: str, best: str | None) -> Panel:
    rows = drawn[drawn["divergence"] == divergence]
    front = own_front(rows)
    others = drawn[drawn["divergence"] != divergence]
    marks: list[Mark] = [
        Points(list(others["work_s"]), list(others["accuracy"]), look_of(""), faint=True),
        _front_line(front, ""),
        *_points(divergence, rows.assign(on_front=rows.index.isin(front.index)), legend=False),
        *_star(rows[rows["trial"].astype(str) == best], legend=False),
    ]
    count = f"{len(rows)} trial{'' if len(rows) == 1 else 's'}"
    return Panel(marks, SHORT_WORK, "accuracy", title=f"{divergence}: {count}")


def _front_line(front: pd.DataFrame, name: str) -> Line:
    front = front.sort_values("work_s")
    return Line(list(front["work_s"]), list(front["accuracy"]), GREY, name=name, step=True)


def _points(divergence: str, rows: pd.DataFrame, legend: bool = True) -> list[Mark]:
    return [
        Points(
            list(some["work_s"]),
            list(some["accuracy"]),
            look_of(divergence),
            name=divergence if legend else "",
            hover=[_hover(row) for row in some.to_dict("records")],
            faint=not on_front,
        )
        for on_front, some in rows.groupby("on_front")
    ]


def _star(winner: pd.DataFrame, legend: bool = True) -> list[Mark]:
    return [
        Points(
            [row["work_s"]],
            [row["accuracy"]],
            look_of(str(row["divergence"])),
            name="picked" if legend else "",
            hover=[_hover(row)],
            star=True,
        )
        for row in winner.to_dict("records")
    ]


def _subtitle(trials: pd.DataFrame, drawn: pd.DataFrame) -> str:
    finished = f"{len(drawn)} finished trial{'' if len(drawn) == 1 else 's'}"
    text = f"{finished}, {int(drawn['on_front'].sum())} on the front; upper left is better"
    missing = len(trials) - len(drawn)
    return text + (f"; {missing} cut, stopped or failed not drawn" if missing else "")


def _hover(row: dict[Any, Any]) -> str:
    lines = [
        f"{row['divergence']}, trial {row['trial']} (number {row['number']})",
        f"accuracy {row['accuracy']:.4f} in {row['work_s']:.2f} s of work, {row['epochs']} epochs",
        f"{'on the front' if row['on_front'] else 'not on the front'}",
    ]
    settings = {key: value for key, value in row.items() if key not in TRIAL_COLUMNS}
    lines += [f"{key} = {short(value)}" for key, value in settings.items() if pd.notna(value)]
    return "\n".join(lines)


def short(value: Any) -> str:
    """Return a setting as it is shown."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
