"""The page of rows that look wrong: of each what it is, its label, and what the network says."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adiw_tune.tracking import words
from adiw_tune.tracking.html import beginning, document

FILE, TABLE = "rows.html", "rows.csv"
_TITLE = "Rows that look wrong"
PAGE_BEGINS = beginning(_TITLE)
_PIXELS = 96  # of a picture's longer side, at most
MEANINGS = {  # of the columns, for the table of a terminal too
    "row": "its number in the task's data, from 0",
    "confidence": "the probability of the predicted label, in the last epoch",
    "weight": "the mean importance weight over the last half of the epochs, 1 for a row that "
    "counts as any other",
    "fit": "the mean probability, over the same epochs, that the network gave the row's own label "
    "(cleanlab's self-confidence), or for real and own targets the negative loss; rows are ranked "
    "by it, the lowest first",
}
_OF_RUNS = (
    "Each value is taken over the runs in which the row had this label; their number is the column "
    "runs of the CSV"
)
_STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px;
  margin-top: 20px; }
.card { border: 1px solid #e6e6e6; border-radius: 4px; padding: 10px; font-size: 13px;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.card p { margin: 0; }
img { width: 96px; height: 96px; object-fit: contain; image-rendering: pixelated;
  background: #f3f3f3; display: block; margin: 0 0 8px; }
.rank { color: #666; }
.label { font-weight: 600; }
td.row { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 320px; }
"""


@dataclass(frozen=True)
class RowPreview:
    """What one row looks like.

    Args:
        picture: uint8, [H, W] or [H, W, 3]; None of what is no picture.
        text: its text, or its first values; "" if the picture is all there is.
    """

    picture: NDArray[np.uint8] | None = None
    text: str = ""


@dataclass(frozen=True)
class ShownRow:
    """A training row on the page.

    Args:
        rank: 1 for the most suspicious.
        number: in the task's data.
        label, predicted: as texts.
        confidence, weight, fit: None where there is none.
        preview: None where the data could not be read.
    """

    rank: int
    number: int
    label: str
    predicted: str
    confidence: float | None
    weight: float
    fit: float
    preview: RowPreview | None = None


@dataclass(frozen=True)
class SuspectRows:
    """What the pages of a search show of its training rows.

    Args:
        shown: the most suspicious, in order.
        rows: how many training rows there are.
        otherwise: a clause on how many are predicted otherwise than labelled; "" if it is not
            known.
        by: whose runs say it, such as `4 runs of trial t7`.
        command: the command line that shows the rows.
        csv: gives all rows as CSV, a piece at a time, whenever it is called.
    """

    shown: Sequence[ShownRow]
    rows: int
    otherwise: str
    by: str
    command: str
    csv: Callable[[], Iterable[str]]


def write_rows(search_name: str, suspects: SuspectRows, folder: Path) -> None:
    """Write rows.html, and rows.csv with all rows."""
    page = rows_page(search_name, suspects)
    (folder / FILE).write_text(page, encoding="utf-8", errors="replace")
    with (folder / TABLE).open("w", encoding="utf-8", errors="replace", newline="") as file:
        for piece in suspects.csv():
            file.write(piece)


def rows_page(search_name: str, suspects: SuspectRows) -> str:
    """Return the page, which loads nothing from anywhere."""
    shown = suspects.shown
    meanings = "; ".join(f"{column}: {meaning}" for column, meaning in MEANINGS.items())
    clause = suspects.otherwise
    otherwise = f" {escape(clause[0].upper() + clause[1:])}." if clause else ""
    parts = [
        f"<h1>{escape(search_name)}: rows that look wrong</h1>",
        f"<p>The {len(shown):,} most suspicious of {suspects.rows:,} training rows, by "
        f"{escape(suspects.by)}.{otherwise}</p>",
        f"<p>All rows: <code>{escape(suspects.command)} --format csv</code></p>",
        f"<p class='cost'>{escape(meanings)}. {_OF_RUNS}.</p>",
        _cards(shown) if _has_pictures(shown) else _table(shown),
    ]
    return document(f"{_TITLE}: {search_name}", parts, plots=False, style=_STYLE)


def told_in_report(suspects: SuspectRows | None) -> list[str]:
    """Return the paragraph of the report, which stands beside the page and the table."""
    if suspects is None:
        return []
    return [
        f"<p>Which rows look wrong: <a href='{FILE}'>{FILE}</a> shows the {len(suspects.shown):,} "
        f"most suspicious, <a href='{TABLE}'>{TABLE}</a> has all {suspects.rows:,}; or "
        f"<code>{escape(suspects.command)}</code></p>"
    ]


def _has_pictures(shown: Sequence[ShownRow]) -> bool:
    return any(row.preview is not None and row.preview.picture is not None for row in shown)


def _cards(shown: Sequence[ShownRow]) -> str:
    return f"<div class='cards'>{''.join(map(_card, shown))}</div>"


def _card(row: ShownRow) -> str:
    lines = [
        f"<p class='rank'>{row.rank}. row {row.number}</p>",
        f"<p class='label'>label {escape(row.label)}</p>",
        f"<p>predicted {escape(row.predicted)}</p>",
        f"<p>confidence {words.number(row.confidence)}</p>",
        f"<p>weight {words.number(row.weight)}</p>",
        f"<p>fit {words.significant(row.fit)}</p>",
    ]
    return f"<div class='card'>{_shown_preview(row.preview)}{''.join(lines)}</div>"


def _shown_preview(preview: RowPreview | None) -> str:
    if preview is None:
        return ""
    text = escape(preview.text)
    if preview.picture is None:
        return text
    picture = f"<img alt='' src='{_data_address(preview.picture)}'>"
    return f"{picture}<p>{text}</p>" if text else picture


def _table(shown: Sequence[ShownRow]) -> str:
    head = ("rank", "row", "label", "predicted", "confidence", "weight", "fit", "inputs")
    cells = "".join(f"<th>{name}</th>" for name in head)
    rows = "".join(f"<tr>{_cells(row)}</tr>" for row in shown)
    return (
        f"<div class='scroll'><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
        "</div>"
    )


def _cells(row: ShownRow) -> str:
    numbers = [*map(words.number, (row.confidence, row.weight)), words.significant(row.fit)]
    return "".join(
        [
            *(f"<td class='number'>{number}</td>" for number in (row.rank, row.number)),
            *(f"<td class='text'>{escape(text)}</td>" for text in (row.label, row.predicted)),
            *(f"<td class='number'>{number}</td>" for number in numbers),
            f"<td class='row'>{_shown_preview(row.preview)}</td>",
        ]
    )


def _data_address(picture: NDArray[np.uint8]) -> str:
    """A PNG in the page itself: of a large picture a smaller one."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((_PIXELS, _PIXELS))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def shown_row(
    cells: Mapping[str, Any], label: str, predicted: str, preview: RowPreview | None
) -> ShownRow:
    """Return a row of the page from one of the table.

    Args:
        cells: rank, row, confidence, weight and fit.
        label, predicted: as texts.
        preview: of the row.
    """
    confidence = cells["confidence"]
    return ShownRow(
        rank=int(cells["rank"]),
        number=int(cells["row"]),
        label=label,
        predicted=predicted,
        confidence=float(confidence) if words.is_known(confidence) else None,
        weight=float(cells["weight"]),
        fit=float(cells["fit"]),
        preview=preview,
    )
