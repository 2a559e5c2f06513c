"""Ranked rows as data, whatever their targets, and a million of them in little memory."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adiw_tune.search.row_tables import CSV_BEGINS, JSON_BEGINS, csv_pieces, json_pieces, row_tables
from adiw_tune.search.rows import RankedRows
from adiw_tune.search.suspects import told_otherwise


def ranked(
    label: Any, predicted: Any, confidence: Any = None, names: tuple[str, ...] = ()
) -> RankedRows:
    label = np.asarray(label)
    n = len(label)
    return RankedRows(
        trial="t1",
        number=np.arange(n)[::-1].copy(),
        label=label,
        weight=np.linspace(0, 2, n),
        fit=np.linspace(-1, 1, n),
        predicted=None if predicted is None else np.asarray(predicted),
        confidence=None if confidence is None else np.asarray(confidence),
        runs=np.full(n, 3),
        names=names,
    )


def both(rows: RankedRows, *arguments: Any) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    text = "".join(csv_pieces(rows, *arguments))
    return (
        list(csv.DictReader(io.StringIO(text))),
        json.loads("".join(json_pieces(rows, *arguments))),
    )


def test_classes_have_their_names_and_no_name_is_a_formula() -> None:
    rows = ranked([0, 1, 1], [1, 1, 0], [0.25, 1.0, 1 / 3], ("=cat", "dog"))
    table, listed = both(rows)
    assert [row["label"] for row in table] == ["'=cat", "dog", "dog"]
    assert [row["predicted"] for row in listed] == ["dog", "dog", "=cat"]
    assert [row["confidence"] for row in table] == ["0.25", "1.0", "0.333333"]
    assert [row["row"] for row in listed] == [2, 1, 0]


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_is() -> None:
    rows = ranked([0, 1], [1, 1], [0.5, 0.5], ("half \ud800", "dog"))
    table, listed = both(rows)
    assert [row["label"] for row in table] == [row["label"] for row in listed] == ["half ?", "dog"]


def test_a_class_that_no_row_has_keeps_its_number() -> None:
    table, _ = both(ranked([0, 1], [2, 1], [0.5, 0.5], ("cat", "dog")))
    assert [row["predicted"] for row in table] == ["2", "dog"]


def test_names_that_are_numbers_may_be_those_of_other_classes() -> None:
    table, _ = both(ranked([0, 1], [2, 1], [0.5, 0.5], ("1", "2")))
    assert [row["label"] for row in table] == ["1", "2"]
    assert [row["predicted"] for row in table] == ["2", "2"]


def test_large_values_stay_what_they_are() -> None:
    table, listed = both(ranked(np.array([1e20, -1.0], dtype=np.float32), None))
    assert [float(row["label"]) for row in table] == [1e20, -1.0]
    assert [row["label"] for row in listed] == [1e20, -1.0]


def test_several_labels_a_row_are_a_list() -> None:
    labels = np.array([[0.0, 1.0], [1.0, 1.0]], dtype=np.float32)
    table, listed = both(ranked(labels, labels.astype(np.uint8), [0.9, 0.8]))
    assert [row["label"] for row in table] == ["0 1", "1 1"]
    assert [row["predicted"] for row in listed] == [[0, 1], [1, 1]]


def test_real_targets_have_their_digits_and_no_confidence() -> None:
    labels = np.array([0.1, -2.5], dtype=np.float32)
    table, listed = both(ranked(labels, labels[:, None] + 1))
    assert [row["label"] for row in table] == ["0.1", "-2.5"]
    assert [row["predicted"] for row in listed] == [1.1, -1.5]
    assert [row["confidence"] for row in table] == ["", ""]
    assert [row["confidence"] for row in listed] == [None, None]


def test_of_a_tasks_own_targets_nothing_is_predicted() -> None:
    table, listed = both(ranked(np.ones((2, 2, 2), dtype=np.float32), None))
    assert [row["label"] for row in table] == ["1 1 1 1"] * 2
    assert [row["predicted"] for row in listed] == [None, None]


@pytest.mark.parametrize(
    ("label", "predicted", "told"),
    [
        ([0, 1, 2], [0, 2, 1], "for 2 of 3 rows the predicted class is not the label"),
        ([0.0, 1.0], np.int8([[1], [1]]), "for 1 of 2 rows the predicted class is not the label"),
        ([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]], np.int8([[0, 1], [0, 0], [0, 1]]),
         "for 2 of 3 rows at least one predicted label differs"),
        (np.float32([1, 2]), np.float32([[1], [3]]), ""),  # real targets
        ([1.0, 2.0], None, ""),  # a task's own
        (np.arange(45_000) % 3, np.r_[[5], np.arange(1, 44_999) % 3, [5]],
         "for 2 of 45,000 rows the predicted class is not the label"),
    ],
)  # fmt: skip
def test_rows_that_are_predicted_otherwise_are_counted(
    label: Any, predicted: Any, told: str
) -> None:
    found = told_otherwise(ranked(label, predicted))
    assert found.startswith(told)
    assert bool(found) == bool(told)


def test_what_is_ranked_by_keeps_its_digits_however_small_it_is() -> None:
    rows = replace(
        ranked([0] * 5, None), fit=np.array([-12.34567891, -1e-18, 1.2345678e-9, 0.1, 1 / 3])
    )
    table, listed = both(rows)
    expected = [-12.345679, 0.0, 1.23457e-9, 0.1, 0.333333]
    assert [float(row["fit"]) for row in table] == expected
    assert [row["fit"] for row in listed] == expected


@pytest.mark.parametrize("most", [None, 1, 20_000, 20_001, 10**9])
def test_pieces_are_one_table(most: int | None) -> None:
    rows = ranked(np.arange(50_000) % 7, np.arange(50_000) % 5, np.ones(50_000))
    whole = pd.concat(row_tables(rows, most))
    n = min(most or 50_000, 50_000)
    assert whole["rank"].tolist() == [*range(1, n + 1)]
    table, listed = both(rows, most)
    assert len(table) == len(listed) == n
    assert table[-1]["rank"] == str(n)


def test_files_are_known_by_how_they_begin() -> None:
    rows = ranked([0], [0], [1.0])
    assert "".join(csv_pieces(rows)).startswith(CSV_BEGINS)
    assert "".join(json_pieces(rows)).startswith(JSON_BEGINS)


def test_a_million_rows_are_never_a_string_at_once() -> None:
    n = 300_000
    rows = ranked(np.arange(n) % 10, np.arange(n) % 7, np.linspace(0, 1, n))
    tracemalloc.start()
    length = sum(map(len, csv_pieces(rows)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 10_000_000
    assert peak < 15_000_000
