"""The report: one HTML file with the decision, its evidence, the figures and every trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from adiw_tune.tracking import words
from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures.chart import Chart
from adiw_tune.tracking.figures.front import short
from adiw_tune.tracking.figures.in_plotly import division
from adiw_tune.tracking.outcome import TRIAL_COLUMNS, Outcome
from adiw_tune.tracking.report_style import STYLE

Cell = tuple[str, str]  # what is shown, already HTML, and its class: number, text or ""


def write_report(search_name: str, outcome: Outcome, charts: Sequence[Chart], path: Path) -> None:
    """Write the report; it loads nothing from anywhere (about 5 MB, most of it plotly.js)."""
    from plotly.offline import get_plotlyjs

    title = f"{escape(search_name)}: report of the search"
    parts = [
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{title}</title><style>{STYLE}</style><script>{get_plotlyjs()}</script></head>",
        f"<body><main><h1>{escape(search_name)}</h1>",
        *_decision(outcome),
        *(f"<section class='figure'>{division(chart)}</section>" for chart in charts),
        *_section("The front: no trial is both more accurate and cheaper", outcome.front, True),
        *_section("All trials", _in_order(outcome.trials), False),
        "</main></body></html>",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def _decision(outcome: Outcome) -> list[str]:
    decision = outcome.decision
    counts = f"<p>{escape(words.counts(outcome.trials))}</p>"
    if decision is None:
        return [f"<p class='pick'>{words.NOTHING}</p>", counts]
    divergence = str(decision["divergence"])
    return [
        f"<div class='pick'><p><strong>{_dot(divergence)}{escape(divergence)}</strong> "
        f"<span class='trial'>trial {escape(str(decision['trial']))}</span></p>",
        f"<p>{escape(words.pick(decision))}</p></div>",
        f"<p>Why: {escape(str(decision['reason']))} "
        f"(rule: <code>{escape(str(decision['rule']))}</code>).</p>",
        f"<p>{escape(' '.join(words.evidence(decision)))}</p>",
        counts,
        f"<p>Train it again: <code>{escape(outcome.winner_command)}</code></p>",
        f"<p class='cost'>{escape(words.COST)}</p>",
        "<h2>Each divergence</h2>",
        _divergences(decision["best_per_divergence"], divergence),
    ]


def _divergences(entries: Sequence[Mapping[str, Any]], best: str) -> str:
    head = ["divergence", "P(best)", "accuracy [interval]", "work s", "timed alone s"]
    rows = [
        [
            _name(str(entry["divergence"])),
            _number(entry["p_best"], 2),
            (words.with_interval(entry), "number"),
            _number(entry["work_s"], 2),
            _number(entry["retimed_s"], 2),
            (words.count(entry["trials"]), "number"),
            (words.count(entry["seeds"]), "number"),
            (escape(str(entry["trial"])), "text"),
        ]
        for entry in entries
    ]
    marked = [str(entry["divergence"]) == best for entry in entries]
    return _table([*head, "trials", "seeds", "its trial"], rows, marked)


def _section(title: str, trials: pd.DataFrame, finished_only: bool) -> list[str]:
    settings = [name for name in trials.columns if name not in TRIAL_COLUMNS]
    head = ["trial", "divergence", "accuracy", "work s", "wall s", "timed alone s", "epochs"]
    if not finished_only:
        head.append("what became of it")
    records: list[dict[str, Any]] = trials.to_dict("records")  # type: ignore[assignment]
    rows = [
        _measured(row)
        + ([] if finished_only else [_fate(row)])
        + [_setting(row[name]) for name in settings]
        for row in records
    ]
    marked = [bool(row["on_front"]) and not finished_only for row in records]
    note = "" if finished_only else "<p class='cost'>Shaded: on the front.</p>"
    return [f"<h2>{title}</h2>{note}", _table([*head, *map(str, settings)], rows, marked)]


def _in_order(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the finished ones first, best first, then what was cut, stopped and failed."""
    rank = trials["status"].map({"finished": 0, "pruned": 1, "stopped": 2}).fillna(3)
    accuracy = pd.to_numeric(trials["accuracy"], errors="coerce")
    keyed = trials.assign(_rank=rank, _accuracy=accuracy)
    ordered = keyed.sort_values(["_rank", "_accuracy", "number"], ascending=[True, False, True])
    return ordered.drop(columns=["_rank", "_accuracy"])


def _measured(row: Mapping[str, Any]) -> list[Cell]:
    return [
        (escape(str(row["trial"])), "text"),
        _name(str(row["divergence"])),
        _number(row["accuracy"], 4),
        *(_number(row[name], 2) for name in ("work_s", "wall_s", "retimed_s")),
        (words.count(row["epochs"]), "number"),
    ]


def _fate(row: Mapping[str, Any]) -> Cell:
    status = str(row["status"])
    if status == "pruned":
        return f"cut by the scheduler after epoch {words.count(row['rung'])}", "text"
    reason = row["reason"] if words.is_number(row["reason"]) else None
    return escape(f"{status}: {reason}" if reason else status), "reason" if reason else "text"


def _setting(value: Any) -> Cell:
    if not words.is_number(value):
        return "–", "text"
    return escape(short(value)), "number" if isinstance(value, int | float) else "text"


def _number(value: Any, digits: int) -> Cell:
    return words.number(value, digits), "number"


def _name(divergence: str) -> Cell:
    return f"{_dot(divergence)}{escape(divergence)}", "text"


def _dot(divergence: str) -> str:
    return f"<i style='background:{look_of(divergence).colour}'></i>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]], marked: Sequence[bool]) -> str:
    lines = ["<div class='scroll'><table><thead><tr>"]
    lines += [f"<th>{escape(name)}</th>" for name in head]
    lines.append("</tr></thead><tbody>")
    for row, mark in zip(rows, marked, strict=True):
        cells = "".join(f"<td class='{kind}'>{text}</td>" for text, kind in row)
        lines.append(f"<tr{' class=marked' if mark else ''}>{cells}</tr>")
    lines.append("</tbody></table></div>")
    return "".join(lines)
