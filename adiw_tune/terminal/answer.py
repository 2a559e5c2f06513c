"""What the command line prints: fronts as tables or data, decisions and epochs as sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from adiw_tune.csv_text import csv_text
from adiw_tune.decide import Decision
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.text import counted

if TYPE_CHECKING:
    from adiw_tune.record.history import History
    from adiw_tune.search.finalize import Reading
    from adiw_tune.search.plan import Plan
    from adiw_tune.training import EpochReport

# What a row of the front is recognised by; the rest of the settings is in the other formats.
_SETTINGS = ("epochs", "steps", "step_size", "bandwidth", "warm_start", "representation")


def front_table(
    front: pd.DataFrame, suggested: Sequence[str] = (), metric: Metric = ACCURACY
) -> Table:
    """The front with the settings that matter, for eyes; retimed s only where any was.

    Args:
        front: as :meth:`adiw_tune.record.history.History.front`.
        suggested: columns of what was suggested by names that are no settings; those that no row
            has are left out.
        metric: whose values are in the column of its name.
    """
    seconds = {"work s": "work_s", "wall s": "wall_s"}
    if front["retimed_s"].notna().any():
        seconds["retimed s"] = "retimed_s"
    table = Table(box=None, header_style="bold", pad_edge=False)
    settings = [
        *_SETTINGS,
        *(name for name in suggested if name in front and front[name].notna().any()),
    ]
    for column in ("trial", "divergence", metric.name, *seconds, *map(escape, settings)):
        left = column in ("divergence", "warm_start", "representation")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for _, row in front.iterrows():
        table.add_row(
            str(row["number"]),
            escape(str(row["divergence"])),
            metric.text(row[metric.name]),
            *(_seconds(row[name]) for name in seconds.values()),
            *(escape(_short(row[name])) for name in settings),
        )
    return table


def table_as(rows: pd.DataFrame, kind: str) -> str:
    """All columns, as ``csv`` or ``json`` (a list of rows)."""
    if kind == "csv":
        return csv_text(rows)
    return str(rows.to_json(orient="records", indent=2)) + "\n"


def front_as_json(history: "History") -> str:
    """The front with every setting, a list of rows: each names its metric, and has the others."""
    front, name = history.front(), history.metric.name
    named = front.rename(columns={name: "value"})
    named.insert(named.columns.get_loc("value"), "metric", name)  # type: ignore[arg-type]
    named["metrics"] = [history.runs[trial].last("metrics") for trial in front["trial"]]
    return table_as(named, "json")


def scale_table(dial: str, curve: pd.DataFrame, metric: Metric = ACCURACY) -> Table:
    """The points of a dial, for eyes, and below them how to read them."""
    from adiw_tune.tracking.scaling import READ, scale_cells

    head, rows = scale_cells(dial, curve, metric)
    table = Table(box=None, header_style="bold", pad_edge=False, caption=READ)
    table.caption_justify, table.caption_style = "left", "dim"
    for column in head:
        table.add_column(column, justify="left" if column == "failed" else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def decision_text(decision: Decision, retrain: str, metric: Metric = ACCURACY) -> str:
    """The pick, how sure it is, why, what the others reached, and how to train it again."""
    provisional = " (provisional)" if decision.provisional else ""
    lines = [
        f"best divergence: {decision.divergence}{provisional}",
        f"  trial {decision.number} ({decision.trial}): {_value(decision, metric)} "
        f"on the select split, {_cost(decision.work_s, decision.retimed_s)}",
        f"  why: {decision.reason} (policy {decision.rule})",
        "  each divergence's best:",
        *_aligned([_standing(best, metric) for best in decision.best_per_divergence]),
        f"train it again: {retrain}",
    ]
    return "\n".join(lines)


def skipped_text(history: "History") -> str:
    """How many points the space called infeasible, and whether that ended the search."""
    points = history.skipped
    text = f"{counted(len(points), 'point')} skipped as infeasible; the last: {points[-1].reason}"
    if history.given_up:
        trials = counted(len(history.of_kind("search")), "trial")
        text += f"\nended after {trials}: {history.skipped_in_a_row} points in a row infeasible"
    return text


def epoch_line(report: "EpochReport", epochs: int, metric: "Metric") -> str:
    """Where a training of ``epochs`` stands, by ``metric``."""
    value = metric.text(report.metrics.get(metric.name))
    shares = "".join(f", {name} {share:.0%}" for name, share in report.shares.items())
    unweighed = ""
    if report.unweighed:
        batches = "mini-batch" if report.unweighed == 1 else "mini-batches"
        unweighed = f", {report.unweighed} {batches} unweighed (a loss was NaN or infinite)"
    return (
        f"epoch {report.epoch}/{epochs}: select {metric.name} {value}, "
        f"loss {report.loss:.4f}, {report.train_seconds:.1f} s{shares}{unweighed}"
    )


def _value(decision: Decision, metric: Metric) -> str:
    value = f"{metric.name} {metric.text(decision.value)}"
    if decision.interval is None:
        return value
    return f"{value} {metric.interval_text(decision.interval)} over {decision.seeds} seeds"


def _cost(work_s: float, retimed_s: float | None) -> str:
    alone = "" if retimed_s is None else f", {_seconds(retimed_s)} s when alone"
    return f"{_seconds(work_s)} s of work{alone}"


def _standing(best: dict[str, Any], metric: Metric) -> list[str]:
    """A line of the table of divergences, in cells."""
    cells = [best["divergence"], metric.text(best["value"])]
    if best["interval"] is not None:
        cells += [metric.interval_text(best["interval"]), f"P(best) {best['p_best']:.0%}"]
        cells.append(counted(best["seeds"], "seed"))
    return [
        *cells,
        _cost(best["work_s"], best["retimed_s"]),
        f"{best['trial']} of {counted(best['trials'], 'trial')}",
    ]


def _aligned(rows: list[list[str]]) -> list[str]:
    """The longest rows in columns; a shorter one lacks the cells of the seeds, after the second."""
    most = max(len(row) for row in rows)
    full = [row[:2] + [""] * (most - len(row)) + row[2:] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*full, strict=True)]
    return [
        "    "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in full
    ]


def _seconds(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"  # NaN: not re-timed


def _short(value: object) -> str:
    if value is None or value != value:  # NaN: not set in this trial
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def reading_text(reading: "Reading", metric: Metric = ACCURACY) -> str:
    """What the test split said, beside what the search said."""
    value = metric.text(reading.value)
    if reading.interval is not None:
        value += f" {metric.interval_text(reading.interval)}"
    lines = [
        f"test {metric.name} {value} on {reading.rows} rows: {reading.divergence}, "
        f"trial {reading.trial}"
    ]
    if reading.left_out:
        without = "the interval leaves them out" if reading.interval else "no interval"
        lines.append(
            f"  {reading.left_out} of {reading.resamples} resamples of these rows have no value: "
            f"{without}"
        )
    lines.append(f"  on the select split the search gave {metric.text(reading.select)}")
    if reading.reading > 1:
        lines.append(f"  this was reading {reading.reading} of the test split, which is recorded")
    return "\n".join(lines)


def plan_text(plan: "Plan") -> str:
    """What a search will take, with ranges."""
    rows = [
        [
            arm.divergence,
            f"{1000 * arm.plain_s * arm.ratio:.2f} ms a step",
            f"{arm.ratio:.2f} of a plain one",
            f"a trial {_duration(arm.trial_s[1])} ({_duration(arm.trial_s[0])} to "
            f"{_duration(arm.trial_s[2])})",
        ]
        for arm in plan.arms
    ]
    memory = "" if plan.memory_bytes is None else f"{plan.memory_bytes / 2**30:.2f} GiB a trial; "
    whole = [a + b for a, b in zip(plan.search_s, plan.finale_s, strict=True)]
    return "\n".join(
        [
            f"measured on {plan.device}, one configuration of each divergence:",
            *_aligned(rows),
            f"{plan.trials} trials, {plan.concurrency} at once: {_range(plan.search_s)}",
            f"finale, over seeds, and the winner: {_range(plan.finale_s)}",
            f"in all: {_range(whole)}",
            f"memory: {memory}room for {plan.at_once} at once here",
        ]
    )


def _range(seconds: Sequence[float]) -> str:
    return f"{_duration(seconds[0])} to {_duration(seconds[1])}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
