"""Shift ``labels``: the training rows' labels from a file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import Data, Split, Splits, Task, located_shift, parse_shift, shift_files
from adiw_tune.training import TrialConfig

from .test_own import task_of

ROWS = 60
CLEAN = torch.arange(ROWS) % 3
OTHER = (CLEAN + (torch.arange(ROWS) % 4 == 0)) % 3
NAMES = ("ant", "bee", "cat")


def splits(shift: str, **about: Any) -> Splits:
    """Row i holds the number i."""
    rows = Split(torch.arange(float(ROWS)), about.pop("labels", CLEAN))
    test = Split(-1 - torch.arange(9.0), rows.labels[:9])
    data = Data(rows, test, **{"classes": 3, **about})
    task = Task("numbered", lambda data_dir: data, {}, reference_size=10, select_size=10)
    return task.splits(parse_shift(shift), seed=0)


def write_csv(path: Path, values: list[Any], name: str = "noisy") -> str:
    lines = [f"row,{name},note", *(f'{i},{value},"a, b"' for i, value in enumerate(values))]
    path.write_text("\n".join(lines) + "\n")
    return f"labels:{path}#{name}"


def write_tsv(path: Path, values: list[Any]) -> str:
    path.write_text("title\tnoisy\n" + "".join(f'"no end\t{value}\n' for value in values))
    return f"labels:{path}#noisy"


def write_parquet(path: Path, values: list[Any]) -> str:
    column = pa.array(values)
    parquet.write_table(pa.table({"noisy": column, "coded": column.dictionary_encode()}), path)
    return f"labels:{path}#noisy"


def write_npy(path: Path, values: list[Any]) -> str:
    np.save(path, np.array(values))
    return f"labels:{path}"


WRITERS: dict[str, Callable[[Path, list[Any]], str]] = {
    ".csv": write_csv, ".tsv": write_tsv, ".parquet": write_parquet, ".npy": write_npy,
}  # fmt: skip


def written(folder: Path, values: list[Any], ending: str = ".csv") -> str:
    return WRITERS[ending](folder / f"labels{ending}", values)


def of(rows: Any, labels: Tensor) -> Tensor:
    """What of ``labels`` is of these rows."""
    return labels[rows.inputs.long()]


@pytest.mark.parametrize("ending", WRITERS)
def test_training_rows_get_the_files_labels_and_clean_roles_keep_their_own(
    tmp_path: Path, ending: str
) -> None:
    found = splits(written(tmp_path, OTHER.tolist(), ending))
    assert torch.equal(found.train.labels, of(found.train, OTHER))
    assert not torch.equal(found.train.labels, of(found.train, CLEAN))
    for clean in (found.reference, found.select):
        assert torch.equal(clean.labels, of(clean, CLEAN))
    assert len(found.train) == 40


@pytest.mark.parametrize("ending", WRITERS)
def test_classes_with_names_are_told_by_their_names(tmp_path: Path, ending: str) -> None:
    for names in (NAMES, ("0", "10", "9")):
        text = written(tmp_path, [names[label] for label in OTHER], ending)
        found = splits(text, names=names)
        assert torch.equal(found.train.labels, of(found.train, OTHER))


def test_names_may_be_coded_in_parquet(tmp_path: Path) -> None:
    text = written(tmp_path, [NAMES[label] for label in OTHER], ".parquet")
    found = splits(text.replace("#noisy", "#coded"), names=NAMES)
    assert torch.equal(found.train.labels, of(found.train, OTHER))


def test_an_array_may_have_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "table.npy", torch.stack([CLEAN, OTHER], 1).numpy())
    named = np.array([*zip(OTHER.tolist(), strict=True)], dtype=[("noisy", "i4")])
    np.save(tmp_path / "named.npy", named)
    for text in (f"labels:{tmp_path}/table.npy#1", f"labels:{tmp_path}/named.npy#noisy"):
        found = splits(text)
        assert torch.equal(found.train.labels, of(found.train, OTHER))


def test_other_targets_come_from_a_file_as_well(tmp_path: Path) -> None:
    values = torch.randn(ROWS)
    text = written(tmp_path, values.tolist())
    found = splits(text, labels=values.flip(0), classes=1, targets="real")
    assert torch.allclose(found.train.labels, of(found.train, values))
    bits = (torch.rand(ROWS, 4) < 0.5).float()
    np.save(tmp_path / "bits.npy", bits.bool().numpy())
    text = f"labels:{tmp_path}/bits.npy"
    found = splits(text, labels=1 - bits, classes=4, targets="binary")
    assert torch.equal(found.train.labels, of(found.train, bits))


def test_labels_from_a_file_are_joined_with_other_shifts(tmp_path: Path) -> None:
    text = written(tmp_path, OTHER.tolist())
    found = splits(f"class-prior:4+{text}")
    assert len(found.train) < 40
    assert torch.equal(found.train.labels, of(found.train, OTHER))
    noisy = splits(f"{text}+symmetric:0.5").train
    assert 8 < int((noisy.labels != of(noisy, OTHER)).sum()) < 32


def test_trusted_rows_that_stand_apart_leave_all_rows_to_the_file(tmp_path: Path) -> None:
    trusted = Split(torch.arange(100.0, 130.0), torch.arange(30) % 3)
    found = splits(written(tmp_path, OTHER.tolist()), trusted=trusted)
    assert torch.equal(found.train.labels, OTHER)


def test_labels_of_the_tasks_own_are_chosen_by_name() -> None:
    found = splits("labels:#human", relabelled={"human": OTHER})
    assert torch.equal(found.train.labels, of(found.train, OTHER))
    with pytest.raises(UserError, match="the task has no labels 'robot' of its own: it has human"):
        splits("labels:#robot", relabelled={"human": OTHER})
    with pytest.raises(UserError, match="no labels 'robot' of its own: it has none: name a file"):
        splits("labels:#robot")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"values": CLEAN[:50].tolist()},
            "has 50 values, but there are 60 rows of train: give one",
        ),
        ({"values": [*CLEAN[:59].tolist(), 3]}, r"has 3 in row 59 of 0 .. 59: classes are 0 .. 2"),
        ({"values": [*CLEAN[:59].tolist(), 0.5]}, "has 0.5 in row 59 of 0 .. 59: classes are 0"),
        ({"values": [*CLEAN[:59].tolist(), -1]}, "has -1 in row 59 of 0 .. 59: classes are 0"),
        (
            {"values": [NAMES[i] for i in CLEAN]},
            r"has 'ant' \(str\) in row 0 of 0 .. 59: give numbers",
        ),
        (
            {"values": ["bird", *(NAMES[i] for i in CLEAN[1:])], "names": NAMES},
            "has 'bird' in row 0 of 0 .. 59, which is none of the task's names: they are ant, bee",
        ),
        (
            {"values": ["bird"] * ROWS, "targets": "real"},
            r"has 'bird' \(str\) in row 0 of 0 .. 59: give numbers",
        ),
        (
            {"values": [0.5] * ROWS, "targets": "binary"},
            "has 0.5 in row 0 of 0 .. 59: labels are 0",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", WRITERS)
def test_labels_that_are_none_of_these_rows_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str, ending: str
) -> None:
    about = dict(change)
    text = written(tmp_path, about.pop("values"), ending)
    if "targets" in about:
        about["labels"] = CLEAN.clamp(max=1).float()
    with pytest.raises(UserError, match=message) as caught:
        splits(text, **about)
    assert "\n" not in str(caught.value)
    assert f"labels{ending}" in str(caught.value)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("names", [(), NAMES])
def test_a_missing_value_is_refused_with_its_row(
    tmp_path: Path, ending: str, names: tuple[str, ...]
) -> None:
    values = [NAMES[i] if names else i for i in CLEAN.tolist()]
    values[7] = None if ending == ".parquet" else ""
    with pytest.raises(UserError, match=r"column 'noisy' of '.*' has no value in row 7 of 0 .. 59"):
        splits(written(tmp_path, values, ending), names=names)


def test_not_a_number_is_a_missing_value(tmp_path: Path) -> None:
    values = [float("nan"), *CLEAN[1:].tolist()]
    with pytest.raises(UserError, match=r"labels.npy' has no value in row 0 of 0 .. 59"):
        splits(written(tmp_path, values, ".npy"))


def test_a_column_of_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.zeros((ROWS, 2)))
    with pytest.raises(UserError, match=r"has shape \[60, 2\], the labels of train have \[60\]"):
        splits(f"labels:{tmp_path}/labels.npy")


@pytest.mark.parametrize("ending", WRITERS)
def test_a_file_that_is_not_there_or_no_such_file_is_refused(tmp_path: Path, ending: str) -> None:
    text = f"labels:{tmp_path}/labels{ending}#noisy"
    with pytest.raises(UserError, match=f"there is no file '/.*labels{ending}'; give"):
        splits(text)
    (tmp_path / f"labels{ending}").write_bytes(b"\x80\x00\xff,\n\n1")
    with pytest.raises(UserError, match=f"labels{ending}'") as caught:
        splits(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", WRITERS)
def test_a_column_that_is_not_there_is_refused(tmp_path: Path, ending: str) -> None:
    file = written(tmp_path, OTHER.tolist(), ending).partition("#")[0]
    with pytest.raises(UserError, match=f"^'.*labels{ending}' has no column 'cleaner': ") as caught:
        splits(f"{file}#cleaner")
    assert ("noisy" in str(caught.value)) == (ending != ".npy")


def test_a_column_of_lists_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    parquet.write_table(pa.table({"noisy": [[i, i] for i in range(ROWS)]}), file)
    with pytest.raises(UserError, match=r"'noisy' of '.*' cannot be read as labels") as caught:
        splits(f"labels:{file}#noisy")
    assert "\n" not in str(caught.value)


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([object()] * ROWS), allow_pickle=True)
    with pytest.raises(UserError, match=r"cannot be read as labels .*: Object arrays cannot be"):
        splits(f"labels:{tmp_path}/labels.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels", "shift 'labels' names no column: write labels:FILE#COLUMN"),
        ("labels:", "shift 'labels:' names no column: write labels:FILE#COLUMN"),
        ("labels:a.csv", "shift 'labels:a.csv' names no column: write labels:FILE#COLUMN"),
        ("labels:a.csv#", "shift 'labels:a.csv#' names no column"),
        ("labels:a.txt#b", "file of shift 'labels:a.txt#b' must end in .csv, .tsv, .parquet, .npy"),
    ],
)
def test_a_shift_that_names_no_labels_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_shift(text)


def test_paths_of_labels_are_from_the_folder_that_is_told() -> None:
    text = "pair:0.4+labels:a+b/c.csv#d+symmetric:0.1+labels:/e.npy+labels:#f"
    there = Path("/there")
    absolute = "pair:0.4+labels:/there/a+b/c.csv#d+symmetric:0.1+labels:/e.npy+labels:#f"
    assert located_shift(text, there) == absolute
    assert located_shift("pair:0.4", there) == "pair:0.4"
    assert shift_files(absolute) == ["/there/a+b/c.csv", "/e.npy"]
    config = TrialConfig.from_mapping({"shift": "labels:c.csv#d"}, there)
    assert config.shift == "labels:/there/c.csv#d"
    assert TrialConfig.from_mapping({"shift": "labels:c.csv#d"}).shift == "labels:c.csv#d"


def test_a_task_of_ones_own_takes_labels_by_name(tmp_path: Path) -> None:
    named = "    x, y = first(n, seed)\n    return x, [('cat', 'dog')[i] for i in y]"
    task = task_of(tmp_path, f"first = rows\ndef rows(n, seed):\n{named}")
    text = write_csv(tmp_path / "other.csv", ["dog"] * 80)
    found = task.splits(parse_shift(text), 0)
    assert found.train.labels.tolist() == [1] * 50
    assert set(found.select.labels.tolist()) == {0, 1}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_two_columns_of_one_name_are_told(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"labels{ending}"
    if ending == ".csv":
        file.write_text("noisy,noisy\n" + "0,1\n" * 60)
    else:
        column = pa.array([0] * 60)
        parquet.write_table(pa.Table.from_arrays([column, column], ["noisy", "noisy"]), file)
    told = f"'{file}' has 2 columns 'noisy': name each column differently"
    with pytest.raises(UserError, match=re.escape(told)):
        splits(f"labels:{file}#noisy")


def test_blank_lines_may_stand_behind_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    lines = "\r\n".join(["", "noisy", *map(str, OTHER.tolist()), "", ""])
    file.write_text(lines, encoding="utf-8-sig", newline="")
    found = splits(f"labels:{file}#noisy")
    assert torch.equal(found.train.labels, of(found.train, OTHER))
