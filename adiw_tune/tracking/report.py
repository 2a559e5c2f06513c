"""The report: one HTML file with the decision, its evidence, the figures and every trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from adiw_tune.metrics import Metric
from adiw_tune.tracking import words
from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures.chart import Chart
from adiw_tune.tracking.figures.front import short
from adiw_tune.tracking.figures.in_plotly import section
from adiw_tune.tracking.html import document
from adiw_tune.tracking.outcome import TRIAL_COLUMNS, Outcome
from adiw_tune.tracking.rows_page import told_in_report

Cell = tuple[str, str]  # what is shown, already HTML, and its class: number, text or long

_NAMES = ("trial", "divergence")
_SPENT = ("work s", "wall s", "timed alone s", "epochs")


def write_report(search_name: str, outcome: Outcome, charts: Sequence[Chart], path: Path) -> None:
    """Write the report: decision, evidence, figures, the front, and every trial."""
    parts = [
        f"<h1>{escape(search_name)}</h1>",
        *_decision(outcome),
        *(section(chart) for chart in charts),
        *_front(outcome),
        *_all_trials(outcome),
    ]
    path.write_text(document(f"{search_name}: report of the search", parts), encoding="utf-8")


def _decision(outcome: Outcome) -> list[str]:
    decision = outcome.decision
    counts = f"<p>{escape(words.counts(outcome.trials, outcome.skipped))}</p>"
    if decision is None:
        return [f"<p class='pick'>{words.NOTHING}</p>", counts]
    divergence = str(decision["divergence"])
    return [
        *_pick(decision, outcome.metric),
        f"<p>Why: {escape(str(decision['reason']))} "
        f"(policy: <code>{escape(str(decision['rule']))}</code>).</p>",
        f"<p>{escape(' '.join(words.evidence(decision)))}</p>",
        counts,
        f"<p>Train it again: <code>{escape(outcome.winner_command)}</code></p>",
        *told_in_report(outcome.suspects),
        f"<p class='cost'>{escape(words.meanings(outcome.metric))}</p>",
        f"<h2>{words.each(decision)}</h2>",
        _divergences(decision["best_per_divergence"], divergence, outcome.metric),
    ]


def _pick(decision: Mapping[str, Any], metric: Metric) -> list[str]:
    divergence = str(decision["divergence"])
    plain = words.PLAIN.get(divergence)
    what = f"{plain}, " if plain else ""
    return [
        "<div class='pick'>",
        *(f"<p class='verdict'>{escape(text)}</p>" for text in words.verdict(decision)),
        f"<p><strong>{_dot(divergence)}{escape(divergence)}</strong> "
        f"<span class='trial'>{what}trial {escape(str(decision['trial']))}</span></p>",
        f"<p>{escape(words.pick(decision, metric))}</p></div>",
    ]


def _divergences(entries: Sequence[Mapping[str, Any]], best: str, metric: Metric) -> str:
    head = ["divergence", "P(chosen)", f"{metric.name} [interval]", "work s", "timed alone s"]
    rows = [
        [
            _name(str(entry["divergence"])),
            _number(entry["p_chosen"], 2),
            (words.with_interval(entry, metric), "number"),
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


def _front(outcome: Outcome) -> list[str]:
    """With the pick, whose row is shaded, wherever that is."""
    metric, means, rows = outcome.metric, outcome.means, outcome.front_with_pick
    records, settings = _records(rows, metric)
    cells = [
        [*_names(row), *_measured(row, metric, means), *_settings(row, settings)] for row in records
    ]
    head = [*_NAMES, metric.name, "over seeds", *_SPENT, *settings]
    picked = [str(row["trial"]) == outcome.best for row in records]
    off = "" if rows["on_front"].all() else ", which is not on the front"
    note = f"<p class='cost'>Shaded: the pick{off}.</p>" if any(picked) else ""
    title = f"<h2>The front: no trial is both {metric.better} and cheaper</h2>"
    return [title, note, _table(head, cells, picked)]


def _all_trials(outcome: Outcome) -> list[str]:
    """The losers and the failed ones too, with their reasons."""
    metric, means = outcome.metric, outcome.means
    records, settings = _records(_in_order(outcome.trials, metric), metric)
    rows = [
        [*_names(row), _fate(row), *_measured(row, metric, means), *_settings(row, settings)]
        for row in records
    ]
    on_front = [bool(row["on_front"]) for row in records]
    head = [*_NAMES, "what became of it", metric.name, "over seeds", *_SPENT, *settings]
    table = _table(head, rows, on_front)
    return ["<h2>All trials</h2><p class='cost'>Shaded: on the front.</p>", table]


def _records(trials: pd.DataFrame, metric: Metric) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows, and the names of those columns that are settings."""
    records: list[dict[str, Any]] = trials.to_dict("records")  # type: ignore[assignment]
    ours = TRIAL_COLUMNS | {metric.name}
    return records, [str(name) for name in trials.columns if name not in ours]


def _in_order(trials: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return the finished ones first, best first, then what was cut, stopped and failed."""
    rank = trials["status"].map({"finished": 0, "pruned": 1, "stopped": 2}).fillna(3)
    score = metric.score(pd.to_numeric(trials[metric.name], errors="coerce"))
    keyed = trials.assign(_rank=rank, _score=score)
    ordered = keyed.sort_values(["_rank", "_score", "number"], ascending=[True, False, True])
    return ordered.drop(columns=["_rank", "_score"])


def _names(row: Mapping[str, Any]) -> list[Cell]:
    return [(escape(str(row["trial"])), "text"), _name(str(row["divergence"]))]


def _measured(row: Mapping[str, Any], metric: Metric, means: Mapping[str, float]) -> list[Cell]:
    """``means``: trial -> mean over seeds."""
    return [
        (words.value(row[metric.name], metric), "number"),
        (words.value(means.get(str(row["trial"])), metric), "number"),
        *(_number(row[name], 2) for name in ("work_s", "wall_s", "retimed_s")),
        (words.count(row["epochs"]), "number"),
    ]


def _fate(row: Mapping[str, Any]) -> Cell:
    status = str(row["status"])
    if status == "pruned":
        status = f"cut by the scheduler after epoch {words.count(row['rung'])}"
    reason = f": {row['reason']}" if words.is_known(row["reason"]) else ""
    return escape(status + reason), "long"


def _settings(row: Mapping[str, Any], names: Sequence[str]) -> list[Cell]:
    return [_setting(row[name]) for name in names]


def _setting(value: Any) -> Cell:
    if not words.is_known(value):
        return words.NONE, "text"
    return escape(short(value)), "number" if isinstance(value, int | float) else "text"


def _number(value: Any, digits: int) -> Cell:
    return words.number(value, digits), "number"


def _name(divergence: str) -> Cell:
    return f"{_dot(divergence)}{escape(divergence)}", "text"


def _dot(divergence: str) -> str:
    look = look_of(divergence)
    style = f"border:2px solid {look.colour}" if look.hollow else f"background:{look.colour}"
    return f"<i style='{style}'></i>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Cell]], marked: Sequence[bool]) -> str:
    lines = ["<div class='scroll'><table><thead><tr>"]
    lines += [f"<th>{escape(name)}</th>" for name in head]
    lines.append("</tr></thead><tbody>")
    for row, mark in zip(rows, marked, strict=True):
        cells = "".join(f"<td class='{kind}'>{text}</td>" for text, kind in row)
        lines.append(f"<tr{' class=marked' if mark else ''}>{cells}</tr>")
    lines.append("</tbody></table></div>")
    return "".join(lines)
