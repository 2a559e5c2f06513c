"""Ranked training rows as tables, CSV and JSON, a piece at a time: a million take little memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from adiw_tune.csv_text import csv_text
from adiw_tune.search.rows import RankedRows

COLUMNS = ("rank", "row", "label", "predicted", "confidence", "weight", "fit", "runs")
CSV_BEGINS = ",".join(COLUMNS[:3])
JSON_BEGINS = f'[\n{{"{COLUMNS[0]}":'
_ROWS_AT_ONCE = 20_000
_DIGITS = 6  # after the point
_MOST_DIGITS = 17  # after the point, of fit, by which rows are ranked: the first are close to 0
_LARGEST = 2**53  # of the whole numbers that a float tells apart
Array = NDArray[Any]


def row_tables(ranked: RankedRows, most: int | None = None) -> Iterator[pd.DataFrame]:
    """Of the most suspicious rows first: each a table of at most 20,000 rows with COLUMNS.

    rank: 1 for the most suspicious. row: its number in the task's data, from 0. label and
    predicted: a number or a name, or a list of numbers. The others are as of :class:`RankedRows`.

    Args:
        ranked: the rows.
        most: how many rows to give; None for all.
    """
    n = len(ranked) if most is None else min(most, len(ranked))
    whole = (_is_whole(ranked.label), _is_whole(ranked.predicted))
    for start in range(0, n, _ROWS_AT_ONCE):
        yield _table(ranked.take(slice(start, min(start + _ROWS_AT_ONCE, n))), start, whole)


def csv_pieces(ranked: RankedRows, most: int | None = None) -> Iterator[str]:
    """The same as CSV; numbers of a list have spaces between them."""
    for place, table in enumerate(row_tables(ranked, most)):
        for column in ("label", "predicted"):
            if table[column].dtype == object:
                table[column] = table[column].map(_joined)
        yield csv_text(table, header=place == 0)


def json_pieces(ranked: RankedRows, most: int | None = None) -> Iterator[str]:
    """The same as JSON: a list of objects, each on a line."""
    between = "[\n"
    for table in row_tables(ranked, most):
        text = table.to_json(orient="records", lines=True, double_precision=15)
        lines = str(text).splitlines()
        yield between + ",\n".join(lines)
        between = ",\n"
    yield "\n]\n"


def text_of(label: Any) -> str:
    """A cell of the columns label and predicted, for eyes."""
    if label is None:
        return "-"
    if isinstance(label, list):
        return " ".join(map(text_of, label))
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def _joined(cell: Any) -> Any:
    return " ".join(map(str, cell)) if isinstance(cell, list) else cell


def _table(rows: RankedRows, start: int, whole: tuple[bool, bool]) -> pd.DataFrame:
    n = len(rows)
    return pd.DataFrame(
        {
            "rank": np.arange(start + 1, start + n + 1),
            "row": rows.number,
            "label": _cells(rows.label, whole[0], rows.names),
            "predicted": _cells(rows.predicted, whole[1], rows.names, n),
            "confidence": _rounded(rows.confidence, n),
            "weight": _rounded(rows.weight, n),
            "fit": _significant(rows.fit),
            "runs": rows.runs,
        }
    )


def _cells(values: Array | None, whole: bool, names: tuple[str, ...], n: int = 0) -> Any:
    if values is None:
        return [None] * n
    columns = values.reshape(len(values), -1)
    columns = columns.astype(np.int64) if whole else _short(columns)
    if columns.shape[1] != 1:
        return columns.tolist()
    if whole and names:
        more = range(len(names), int(columns.max()) + 1)  # classes of which no row has the name
        texts = [name.encode(errors="replace").decode() for name in names]  # pandas wants UTF-8
        return np.array([*texts, *map(str, more)], dtype=object)[columns[:, 0]]
    return columns[:, 0]


def _rounded(values: Array | None, n: int) -> Any:
    return [None] * n if values is None else np.round(values.astype(np.float64), _DIGITS)


def _significant(values: Array) -> Array:
    """As :func:`_rounded`, but small numbers keep six significant digits, within 17 decimals."""
    values = values.astype(np.float64)
    with np.errstate(divide="ignore"):
        digits = _DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.clip(digits, _DIGITS, _MOST_DIGITS)
    rounded: Array = np.rint(values * scale) / scale + 0.0  # no -0
    return rounded


def _is_whole(values: Array | None) -> bool:
    """Whether all are whole numbers, such as classes, or 0 and 1 in floats."""
    if values is None or values.dtype.kind in "iub":
        return True
    return bool(((values == np.trunc(values)) & (np.abs(values) < _LARGEST)).all())


def _short(values: Array) -> Array:
    """float32 as float64 with the fewest digits: 0.1, not 0.10000000149."""
    return values.astype(str).astype(np.float64) if values.dtype == np.float32 else values
