"""Values of a file of labels: each row gets its own, unchanged, or the file is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from adiw_tune.errors import UserError

from .test_label_files import CLEAN, NAMES, OTHER, ROWS, of, splits, write_csv, written

REAL = {"labels": CLEAN.float(), "classes": 1, "targets": "real"}
OWN = {"labels": CLEAN, "classes": 0, "targets": "own"}
GIVE = "give finite values that fit torch.{}, the dtype of train's labels"


def refusal(shift: str, **about: Any) -> str:
    """The one line that refuses it, without the path of the file."""
    with pytest.raises(UserError) as caught:
        splits(shift, **about)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(shift.removeprefix("labels:"), "FILE")


def saved(folder: Path, array: Any) -> str:
    np.save(folder / "labels.npy", array)
    return f"labels:{folder}/labels.npy"


def changed(value: float, row: int = 7, like: Any = OTHER) -> list[float]:
    values = like.tolist()
    values[row] = value
    return values


@pytest.mark.parametrize(
    ("value", "about", "told"),
    [
        (0.7, OWN, "has 0.7 in row 7 of 0 .. 59: " + GIVE.format("int64")),
        (float("inf"), OWN, "has inf in row 7 of 0 .. 59: " + GIVE.format("int64")),
        (
            300,
            {**OWN, "labels": CLEAN.byte()},
            "has 300 in row 7 of 0 .. 59: " + GIVE.format("uint8"),
        ),
        (2, {**OWN, "labels": CLEAN > 0}, "has 2 in row 2 of 0 .. 59: " + GIVE.format("bool")),
        (float("inf"), REAL, "has inf in row 7 of 0 .. 59: " + GIVE.format("float32")),
        (1e39, REAL, "has 1e+39 in row 7 of 0 .. 59: " + GIVE.format("float32")),
        (
            -7e4,
            {**OWN, "labels": CLEAN.half()},
            "has -70000.0 in row 7 of 0 .. 59: " + GIVE.format("float16"),
        ),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npy"])
def test_a_value_that_the_labels_cannot_hold_is_named(
    tmp_path: Path, ending: str, value: float, about: dict[str, Any], told: str
) -> None:
    assert refusal(written(tmp_path, changed(value), ending), **about).endswith(f"' {told}")


def test_a_value_of_several_a_row_is_named_with_its_row(tmp_path: Path) -> None:
    values = np.ones((ROWS, 3))
    values[5, 2] = np.inf
    told = refusal(saved(tmp_path, values), **{**REAL, "labels": torch.ones(ROWS, 3)})
    assert told == "'FILE' has inf in row 5 of 0 .. 59: " + GIVE.format("float32")


def test_integers_stay_what_they_are(tmp_path: Path) -> None:
    """Through float32, as NumPy's float64 goes elsewhere, they would not."""
    large = 2**24 + 1 + torch.arange(ROWS)
    text = saved(tmp_path, large.double().numpy())
    found = splits(text, **OWN)
    assert torch.equal(found.train.labels, of(found.train, large))


def test_no_imaginary_part_is_lost(tmp_path: Path) -> None:
    text = saved(tmp_path, OTHER.numpy() + 1j)
    for about, dtype in ((REAL, "float32"), (OWN, "int64"), ({}, "int64")):
        told = refusal(text, **about)
        assert (
            told
            == f"'FILE' has complex numbers: give real ones, as train's labels are torch.{dtype}"
        )
    found = splits(text, **{**OWN, "labels": CLEAN + 0j})
    assert torch.equal(found.train.labels, of(found.train, OTHER + 1j))


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("names", [(), NAMES])
def test_a_blank_line_is_a_missing_value_where_there_is_one_column(
    tmp_path: Path, ending: str, names: tuple[str, ...]
) -> None:
    values = [NAMES[i] if names else str(i) for i in OTHER.tolist()]
    file = tmp_path / f"labels{ending}"
    for end in ("\n", "\r\n"):
        lines = ["noisy", *values[:7], "", *values[8:]]
        file.write_bytes(end.join(lines).encode())
        told = refusal(f"labels:{file}#noisy", names=names)
        assert told.endswith("has no value in row 7 of 0 .. 59")
        # Rows are as many all the same where another is appended, and each after it is displaced.
        file.write_bytes(end.join([*lines, values[0]]).encode())
        assert "has 61 values, but there are 60 rows" in refusal(
            f"labels:{file}#noisy", names=names
        )
        file.write_bytes(end.join(["", "noisy", *values, "", "", ""]).encode())
        found = splits(f"labels:{file}#noisy", names=names)
        assert torch.equal(found.train.labels, of(found.train, OTHER))


def test_a_blank_line_between_several_columns_is_one_too(tmp_path: Path) -> None:
    text = write_csv(tmp_path / "labels.csv", OTHER.tolist())
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([*lines[:8], "", *lines[9:]]))
    assert refusal(text).endswith("has no value in row 7 of 0 .. 59")


@pytest.mark.parametrize("text", ["NA", "1 or 2", "?", "1e", "ü'x"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".npy"])
def test_text_among_numbers_is_named_with_its_row(tmp_path: Path, ending: str, text: str) -> None:
    values = [str(value) for value in changed(text)]  # type: ignore[arg-type]
    told = f"has {text!r} (str) in row 7 of 0 .. 59: give numbers, as the task's labels are"
    assert refusal(written(tmp_path, values, ending)).endswith(told)
    assert refusal(written(tmp_path, values, ending), **REAL).endswith(told)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array(["1"] * ROWS), "'FILE' has '1' (str) in row 0 of 0 .. 59: give numbers"),
        (
            np.array([b"1"] * ROWS),
            "(bytes) in row 0 of 0 .. 59: give numbers, as the task's labels are",
        ),
        (np.array([["1", "x"]] * ROWS), "'FILE' has 'x' (str) in row 0 of 0 .. 59: give numb"),
        (
            np.array(["NaT"] * ROWS, "M8[s]"),
            "'FILE' has 'NaT' (datetime64) in row 0 of 0 .. 59: give",
        ),
        (np.array(3), "'FILE' has 1 values, but there are 60 rows of train: give one for each"),
        (np.array([2**63] * ROWS, "u8"), "values of 'FILE' include numbers above 2**63 - 1: give"),
        (
            np.zeros(ROWS, "f16"),
            "values of 'FILE' have dtype float128, which torch does not support",
        ),
    ],
    ids=str,
)
def test_array_of_unsupported_dtype_is_refused(tmp_path: Path, array: Any, told: str) -> None:
    assert told in refusal(saved(tmp_path, array))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", ">u2", ">i4", ">i8", "<f2", ">f8", "?"])
def test_numbers_may_be_of_any_size_and_order_of_bytes(tmp_path: Path, dtype: str) -> None:
    bits = OTHER.clamp(max=1)
    found = splits(saved(tmp_path, bits.numpy().astype(dtype)))
    assert torch.equal(found.train.labels, of(found.train, bits))
    found = splits(saved(tmp_path, bits.numpy().astype(dtype)), **REAL)
    assert torch.equal(found.train.labels, of(found.train, bits.float()))


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npy"])
def test_numbers_are_the_names_that_are_their_digits(tmp_path: Path, ending: str) -> None:
    names = ("0", "10", "9")
    text = written(tmp_path, [int(names[i]) for i in OTHER], ending)
    found = splits(text, names=names)
    assert torch.equal(found.train.labels, of(found.train, OTHER))
    text = written(tmp_path, [int(names[i]) for i in OTHER[1:]] + [11], ending)
    last = len(OTHER) - 1
    told = f"has '11' in row {last} of 0 .. {last}, which is none of the task's names: they are 0, "
    assert refusal(text, names=names).endswith(f"{told}10, 9")
    text = written(tmp_path, [float(names[i]) for i in OTHER], ending)
    told = f".0' in row 0 of 0 .. {last}, which is none of the task's names"
    assert told in refusal(text, names=names)


def test_parquet_dictionary_numbers_match_names(tmp_path: Path) -> None:
    table = pa.table({"noisy": pa.array(OTHER.tolist()).dictionary_encode()})
    parquet.write_table(table, tmp_path / "labels.parquet")
    found = splits(f"labels:{tmp_path}/labels.parquet#noisy", names=("0", "1", "2"))
    assert torch.equal(found.train.labels, of(found.train, OTHER))


def test_binary_targets_with_names_are_told_by_these(tmp_path: Path) -> None:
    bits = OTHER.clamp(max=1)
    text = written(tmp_path, ["yes" if bit else "no" for bit in bits])
    about = {"labels": CLEAN.clamp(max=1).float(), "classes": 1, "targets": "binary"}
    found = splits(text, names=("no", "yes"), **about)
    assert torch.equal(found.train.labels, of(found.train, bits.float()))


@pytest.mark.parametrize(
    ("array", "column", "told"),
    [
        (OTHER.numpy(), "0", "it holds one array [60]; write labels:labels.npy"),
        (np.array(3), "0", "it holds one array []; write labels:labels.npy"),
        (np.zeros((ROWS, 2)), "2", "name one of 0, 1, as in labels:labels.npy#0"),
        (np.zeros((ROWS, 2)), "-1", "name one of 0, 1, as in labels:labels.npy#0"),
        (np.zeros(ROWS, "i4,f4"), "", "name one of f0, f1, as in labels:labels.npy#f0"),
        (np.zeros(ROWS, "i4,f4"), "f2", "name one of f0, f1, as in labels:labels.npy#f0"),
    ],
)
def test_missing_array_column_error_lists_columns(
    tmp_path: Path, array: Any, column: str, told: str
) -> None:
    text = saved(tmp_path, array) + f"#{column}" * bool(column)
    line = refusal(text)
    assert line.endswith(f" has no column '{column}': {told}")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".npy"])
def test_a_file_without_columns_is_told(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"labels{ending}"
    if ending == ".npy":
        np.save(file, np.zeros((ROWS, 0)))
    elif ending == ".parquet":
        parquet.write_table(pa.table({}), file)
    else:
        file.write_text("\n")
    line = refusal(f"labels:{file}#0")
    assert line == f"'{file}' has no columns: give a file with a column '0'"


def test_a_column_without_a_name_is_not_proposed(tmp_path: Path) -> None:
    """As the first of a file that pandas wrote with its index."""
    (tmp_path / "labels.csv").write_text(",label\n" + "\n".join(f"{i},0" for i in range(ROWS)))
    told = refusal(f"labels:{tmp_path}/labels.csv#lable")
    assert told.endswith("has no column 'lable': name one of label, as in labels:labels.csv#label")
