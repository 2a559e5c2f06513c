"""Tables as CSV that a spreadsheet shows and does not run."""

from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a cell begins with that a spreadsheet runs


def csv_text(table: pd.DataFrame, header: bool = True) -> str:
    """The table as CSV, without its index.

    ``header`` is whether the names of the columns come first, as they do not in a further piece
    of one table.

    A cell or a column's name that is text and begins like a formula gets an apostrophe before it,
    by which spreadsheets know it for text. Numbers stay numbers, negative ones too, also where
    they are written as text, one or several with spaces between them.

    Source: OWASP, "CSV Injection".
    """
    safe = table.rename(columns=_inert)
    for column in safe.columns[safe.dtypes.map(lambda kind: kind.kind not in "biufmM")]:
        safe[column] = safe[column].map(_inert)
    return str(safe.to_csv(index=False, header=header))


def _inert(cell: Any) -> Any:
    return f"'{cell}" if _runs(cell) else cell


def _runs(cell: Any) -> bool:
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return False
    try:
        numbers = [float(part) for part in cell.split()]
    except ValueError:
        return True
    return not numbers
