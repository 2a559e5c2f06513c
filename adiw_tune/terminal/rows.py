"""Training rows that look wrong, as a table for eyes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from adiw_tune.tracking import words
from adiw_tune.tracking.rows_page import MEANINGS

if TYPE_CHECKING:
    import pandas as pd

_READ = "\n".join(
    [
        *(f"{column}: {meaning}" for column, meaning in MEANINGS.items()),
        "runs: number of runs averaged, those in which the row had this label",
    ]
)
_SHOWN = {"confidence": words.number, "weight": words.number, "fit": words.significant}


def rows_table(tables: "Iterable[pd.DataFrame]") -> Table:
    """The rows, and below them how to read them.

    Args:
        tables: pieces, as :func:`adiw_tune.search.row_tables.row_tables` gives them.
    """
    from adiw_tune.search.row_tables import COLUMNS, text_of

    table = Table(box=None, header_style="bold", pad_edge=False, caption=_READ)
    table.caption_justify, table.caption_style = "left", "dim"
    for column in COLUMNS:
        text = column in ("label", "predicted")
        table.add_column(column, justify="left" if text else "right", no_wrap=True)
    for some in tables:
        for row in some.to_dict("records"):
            cells = (_SHOWN.get(name, text_of)(row[name]) for name in COLUMNS)
            table.add_row(*map(escape, cells))
    return table
