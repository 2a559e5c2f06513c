"""Training rows that look wrong, as a table for eyes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from adiw_tune.tracking import words

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {"confidence": 2, "weight": 2, "fit": 2}  # digits
_READ = (
    "confidence: probability of the predicted label, in the last epoch\n"
    "weight: mean weight over the last half of the epochs\n"
    "fit: mean probability, over the same epochs, that the network gave the row's own label "
    "(cleanlab's self-confidence); for real and own targets the negative loss; rows are ranked by "
    "it, the lowest first\n"
    "runs: number of runs averaged, those in which the row had this label"
)


def rows_table(tables: "Iterable[pd.DataFrame]", of: str) -> Table:
    """The rows, and below them how to read them.

    Args:
        tables: pieces, as :func:`adiw_tune.search.row_tables.row_tables` gives them.
        of: of how many rows they are, and by which runs.
    """
    from adiw_tune.search.row_tables import COLUMNS, text_of

    table = Table(box=None, header_style="bold", pad_edge=False, caption=f"of {of}\n{_READ}")
    table.caption_justify, table.caption_style = "left", "dim"
    for column in COLUMNS:
        text = column in ("label", "predicted")
        table.add_column(column, justify="left" if text else "right", no_wrap=True)
    for some in tables:
        for row in some.to_dict("records"):
            cells = (
                words.number(row[name], _NUMBERS[name]) if name in _NUMBERS else text_of(row[name])
                for name in COLUMNS
            )
            table.add_row(*map(escape, cells))
    return table
