"""Fronts and curves of a dial, as tables for eyes or as data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd
from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from adiw_tune.arms import BASELINES
from adiw_tune.csv_text import csv_text
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.tracking import words

if TYPE_CHECKING:
    from adiw_tune.record.history import History

Column: TypeAlias = tuple[str, Callable[[pd.Series], str]]  # heading, and the cell of a row

# Settings of the weights. They come first, since they tell the rows of the front apart.
_OF_WEIGHTS = ("steps", "step_size", "bandwidth", "warm_start", "representation")
# Settings without effect on a baseline.
_OF_WEIGHTS_ALONE = (*_OF_WEIGHTS, "ridge", "decay", "warmup_epochs", "cap", "slack", "compiled")
_OF_REFERENCE_ROWS = ("reference_weight", "reference_batch_size")  # which pooled also trains on
_WIDTH = 160  # of a table of the front, at most, where its results are narrower
_BETWEEN = 2  # blanks between columns


def front_table(
    front: pd.DataFrame,
    varied: Sequence[str] = (),
    metric: Metric = ACCURACY,
    pick: str | None = None,
    means: Mapping[str, float] | None = None,
) -> Table:
    """The front with the settings that its search varies, for eyes; below it what its words mean.

    A column that no row has a value for is left out, if it is that of seconds timed alone, of means
    over seeds or of a setting. Settings that would make it wider than 160 characters are only
    named below it.

    Args:
        front: as :meth:`adiw_tune.record.history.History.front`, and the pick's row if it is not
            on the front: see :func:`adiw_tune.tracking.outcome.with_pick`.
        varied: columns of settings, as :meth:`adiw_tune.record.history.History.varied`.
        metric: whose values are in the column of its name.
        pick: the trial whose row is marked; None if nothing is decided.
        means: trial -> mean of the metric over seeds, of those that were rerun.
    """
    timed = bool(front["retimed_s"].notna().any())
    rerun = means if means and front["trial"].isin(list(means)).any() else None
    table = Table(box=None, header_style="bold", pad_edge=False)
    columns, left_out = _that_fit(
        front, [*_results(metric, pick, rerun, timed)], [*_settings(front, varied)]
    )
    for heading, _ in columns:
        justify: JustifyMethod = "left" if _is_text(heading, front, varied) else "right"
        table.add_column(escape(heading), justify=justify, no_wrap=True)
    for _, row in front.iterrows():
        style = "bold" if row["trial"] == pick else None
        table.add_row(*(escape(cell(row)) for _, cell in columns), style=style)
    captions = [*_captions(front, metric, pick, rerun is not None, timed)]
    if left_out:
        captions.append(f"also varied: {', '.join(left_out)}; front --format csv has every setting")
    table.caption = escape("\n".join(captions))
    table.caption_justify, table.caption_style = "left", "dim"
    return table


def _results(
    metric: Metric, pick: str | None, means: Mapping[str, float] | None, timed: bool
) -> Iterator[Column]:
    yield "trial", lambda row: f"{'* ' if row['trial'] == pick else ''}{row['number']}"
    yield "divergence", lambda row: str(row["divergence"])
    yield metric.name, lambda row: metric.text(row[metric.name])
    if means is not None:
        yield "over seeds", lambda row: metric.text(means.get(row["trial"]))
    yield "work s", lambda row: _seconds(row["work_s"])
    yield "wall s", lambda row: _seconds(row["wall_s"])
    if timed:
        yield "timed alone s", lambda row: _seconds(row["retimed_s"])
    yield "epochs", lambda row: _short(row["epochs"])


def _settings(front: pd.DataFrame, varied: Sequence[str]) -> Iterator[Column]:
    first = (*_OF_WEIGHTS, *_OF_REFERENCE_ROWS)
    in_order = dict.fromkeys([*(name for name in first if name in varied), *varied])
    for name in in_order:
        cell = partial(_setting, name)
        if name in front and any(cell(row) != "-" for _, row in front.iterrows()):
            yield name, cell


def _that_fit(
    front: pd.DataFrame, results: list[Column], settings: list[Column]
) -> tuple[list[Column], list[str]]:
    """The results, with the settings that fit beside them; and the names of the other settings."""
    columns, left_out, used = results, [], sum(_width(front, column) for column in results)
    for column in settings:
        width = _width(front, column)
        if used + width > _WIDTH:
            left_out.append(column[0])
        else:
            columns, used = [*columns, column], used + width
    return columns, left_out


def _is_text(heading: str, front: pd.DataFrame, varied: Sequence[str]) -> bool:
    if heading not in varied:
        return heading == "divergence"
    return any(isinstance(value, str) for value in front[heading])


def _width(front: pd.DataFrame, column: Column) -> int:
    """Of a column and what parts it from the next."""
    heading, cell = column
    return max(map(len, [heading, *(cell(row) for _, row in front.iterrows())])) + _BETWEEN


def _captions(
    front: pd.DataFrame, metric: Metric, pick: str | None, over_seeds: bool, timed: bool
) -> Iterator[str]:
    marks = []
    if pick is not None:
        on_front = front.loc[front["trial"] == pick, "on_front"].all()
        marks.append("*: the pick" if on_front else "*: the pick, which is not on the front")
    if over_seeds:
        marks.append(words.meaning(["over seeds"], metric))
    if marks:
        yield "; ".join(marks)
    yield words.meaning(("work", "wall", *["timed alone"] * timed), metric)


def _setting(name: str, row: pd.Series) -> str:
    return "-" if _is_without_effect(name, row) else _short(row[name])


def _is_without_effect(name: str, row: pd.Series) -> bool:
    """Whether a setting means nothing to this trial, as of weights to a baseline."""
    if name == "decay" and row.get("warm_start", "decay") != "decay":
        return True
    if name in _OF_REFERENCE_ROWS:
        return row["divergence"] in ("erm", "clean-only")
    return row["divergence"] in BASELINES and name in _OF_WEIGHTS_ALONE


def _short(value: object) -> str:
    if value is None or value != value:  # NaN: not set in this trial
        return "-"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"  # whole numbers, where another trial has none
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _seconds(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"  # NaN: not timed alone


def table_as(rows: pd.DataFrame, kind: str) -> str:
    """All columns, as ``csv`` or ``json`` (a list of rows)."""
    if kind == "csv":
        return csv_text(rows)
    return str(rows.to_json(orient="records", indent=2)) + "\n"


def front_as_data(history: "History", kind: str, pick: str | None) -> str:
    """The front with every setting, and which of its trials is the pick, as ``csv`` or ``json``.

    In JSON each row names its metric, and has the others.
    """
    front, name = history.front(), history.metric.name
    ours = ("pick", *["metric", "value", "metrics"] * (kind == "json"))
    names = {column: f"suggested {column}" for column in ours}
    front = front.rename(columns=names | ({name: "value"} if kind == "json" else {}))
    if kind == "json":
        front.insert(front.columns.get_loc("value"), "metric", name)  # type: ignore[arg-type]
        front["metrics"] = [history.runs[trial].last("metrics") for trial in front["trial"]]
    return table_as(front.assign(pick=front["trial"] == pick), kind)


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


def aligned(rows: list[list[str]]) -> list[str]:
    """Rows of as many cells each, in columns, without those that are empty."""
    columns = [column for column in zip(*rows, strict=True) if any(column)]
    widths = [max(len(cell) for cell in column) for column in columns]
    return [
        "    "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*columns, strict=True)
    ]
