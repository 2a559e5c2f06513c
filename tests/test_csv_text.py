"""CSV for spreadsheets: formulas are text, and numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from adiw_tune.csv_text import csv_text


def read(table: pd.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(table))))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_cell_or_a_name_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    formula = f"{start}HYPERLINK(1)"
    table = pd.DataFrame({formula: [formula, "kl"], "accuracy": [0.9, 0.8]})
    assert read(table) == [[f"'{formula}", "accuracy"], [f"'{formula}", "0.9"], ["kl", "0.8"]]
    assert table.columns[0] == formula


def test_numbers_stay_numbers() -> None:
    table = pd.DataFrame({"a": [-0.5, float("-inf")], "b": [-1, 2], "c": ["-1.5", None]})
    assert read(pd.DataFrame({"f": ["-1.5 2", "-1 -x", "- 2", "\t"]}))[1:] == [
        ["-1.5 2"], ["'-1 -x"], ["'- 2"], ["'\t"],
    ]  # fmt: skip
    mixed = table.assign(d=pd.Series([-3, "-x"], dtype=object), e=[True, False])
    first, second = read(mixed)[1:]
    assert first == ["-0.5", "-1", "-1.5", "-3", "True"]
    assert second == ["-inf", "2", "", "'-x", "False"]
