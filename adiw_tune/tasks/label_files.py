"""Labels in a file beside the data: a column of a CSV, TSV, parquet or NumPy file."""

import codecs
import io
import os
import reprlib
from collections.abc import Sequence
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks.arrays import from_array, signed
from adiw_tune.tasks.coverage import listed
from adiw_tune.tasks.data import Data

ENDINGS = (".csv", ".tsv", ".parquet", ".npy")


def labels_from(file: str, column: str, data: Data) -> Tensor:
    """Labels of all of ``data.rows`` from a column of a file: of the kind and shape of their own.

    There is a value for each row, in the order of the rows. Classes are told by their names where
    the task's labels are names, else by their numbers. Values are converted exactly, except that
    they are rounded where the task's labels are floats.

    Args:
        file: a path that ends in one of :data:`ENDINGS`; the first line of CSV and TSV has the
            names of the columns.
        column: its name; of a NumPy array without names its number, or "" for the array itself.
        data: whose rows they are.

    Raises:
        UserError: they cannot be read, or are no labels of these rows.
    """
    what = f"column '{column}' of '{file}'" if column else f"'{file}'"
    if not os.path.isfile(file):
        raise UserError(
            f"shift labels: there is no file '{os.path.abspath(file)}'; give one that exists"
        )
    with told_as(lambda error: f"{what} cannot be read as labels ({in_one_line(error)})"):
        values = _read(Path(file), column, bool(data.names))
        _check_complete(values, what, len(data.rows))
        labels = _named(values, what, data) if data.names else _numbers(values, what)
        return _fitted(labels, what, data)


def _check_complete(values: Any, what: str, rows: int) -> None:
    if len(values) != rows:
        raise UserError(
            f"{what} has {len(values)} values, but there are {rows} rows of train: give one for "
            "each, in their order"
        )
    if len(missing := _missing(values)):
        raise UserError(f"{what} has no value in row {missing[0]} of 0 .. {rows - 1}")


def _read(file: Path, column: str, names: bool) -> Any:
    """The array [n], or [n, k] of a NumPy file; of names, and of what is missing, objects."""
    if file.suffix == ".npy":
        return _column(np.load(file, allow_pickle=False), file, column)
    table = _parquet(file) if file.suffix == ".parquet" else _text(file, column, names)
    _check_column(column, table.column_names, file)
    return np.asarray(table[column].to_pylist() if table[column].null_count else table[column])


def _check_column(column: str, known: Sequence[str], file: Path) -> None:
    known = [name for name in known if name]
    if not known:
        raise UserError(f"'{file}' has no columns: give a file with a column '{column}'")
    if column not in known:
        raise UserError(
            f"'{file}' has no column '{column}': name one of {listed(known)}, as in "
            f"labels:{file.name}#{known[0]}"
        )
    if (count := known.count(column)) > 1:
        raise UserError(f"'{file}' has {count} columns '{column}': name each column differently")


def _text(file: Path, column: str, names: bool) -> Any:
    import pyarrow
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=",")
    if file.suffix == ".tsv":
        parsing = csv.ParseOptions(delimiter="\t", quote_char=False)
    parsing.ignore_empty_lines = False  # in a file of one column such a line is a missing value
    types = {column: pyarrow.string()} if names else {}  # a name may look like a number
    empty = csv.ConvertOptions(null_values=[""], strings_can_be_null=True, column_types=types)
    # Blank lines at the start and end are no rows; a byte order mark may stand before them.
    text = file.read_bytes().removeprefix(codecs.BOM_UTF8).strip(b"\r\n") + b"\n"
    return csv.read_csv(io.BytesIO(text), parse_options=parsing, convert_options=empty)


def _parquet(file: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(file).read()  # read_table refuses two columns of one name


def _column(array: Any, file: Path, column: str) -> Any:
    if array.dtype.names:
        _check_column(column, array.dtype.names, file)
        return array[column]
    if not column:
        return np.atleast_1d(array)
    if array.ndim != 2:
        raise UserError(
            f"'{file}' has no column '{column}': it holds one array {list(array.shape)}; write "
            f"labels:{file.name}"
        )
    _check_column(column, [str(i) for i in range(array.shape[1])], file)
    return array[:, int(column)]


def _missing(values: Any) -> Any:
    """The rows that lack a value."""
    if values.dtype.kind == "O":
        return [row for row, value in enumerate(values) if value is None or value != value]
    rows = values.reshape(len(values), -1)
    return np.isnan(rows).any(axis=1).nonzero()[0] if values.dtype.kind in "fc" else []


def _named(values: Any, what: str, data: Data) -> Tensor:
    if values.ndim != 1:
        raise UserError(f"{what} has shape {list(values.shape)}: give one name for each row")
    places = {name: place for place, name in enumerate(data.names)}
    names = [str(value) for value in values.tolist()]  # a number matches the name with its digits
    unknown = next((row for row, name in enumerate(names) if name not in places), None)
    if unknown is not None:
        raise UserError(
            f"{what} has {reprlib.repr(names[unknown])} in row {unknown} of 0 .. {len(names) - 1}, "
            f"which is none of the task's names: they are {listed(data.names)}"
        )
    return torch.tensor([places[name] for name in names])


def _numbers(values: Any, what: str) -> Tensor:
    if values.dtype.kind not in "biufc":
        row, value = _first_that_is_no_number(values)
        raise UserError(
            f"{what} has {reprlib.repr(str(value))} ({type(value).__name__.strip('_')}) in row "
            f"{row} of 0 .. {len(values) - 1}: give numbers, as the task's labels are"
        )
    return signed(from_array(values, f"values of {what}"), f"values of {what}")


def _first_that_is_no_number(values: Any) -> tuple[int, Any]:
    """Row and value of the first entry that is no number; the first if all could be parsed."""
    place = next((i for i, value in enumerate(values.flat) if not _reads_as_number(value)), 0)
    return place * len(values) // values.size, values.flat[place]


def _reads_as_number(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, Number)
    try:
        float(value)
    except ValueError:
        return False
    return True


def _fitted(labels: Tensor, what: str, data: Data) -> Tensor:
    """``labels`` as rows carry them, refused if they are not of the kind."""
    own = data.rows.labels
    if labels.is_complex() and not own.is_complex():
        raise UserError(
            f"{what} has complex numbers: give real ones, as train's labels are {own.dtype}"
        )
    if labels.numel() != own.numel():
        raise UserError(
            f"{what} has shape {list(labels.shape)}, the labels of train have {list(own.shape)}"
        )
    labels = labels.reshape(own.shape)
    fitted = labels.to(own.dtype)
    if data.targets == "classes":
        right = (fitted == labels) & (fitted >= 0) & (fitted < data.classes)
        must = f"classes are 0 .. {data.classes - 1}"
    elif data.targets == "binary":
        right, must = (labels == 0) | (labels == 1), "labels are 0 or 1"
    else:
        rounded = own.is_floating_point() or own.is_complex()
        right = fitted.isfinite() if rounded else fitted.to(labels.dtype) == labels
        must = f"give finite values that fit {own.dtype}, the dtype of train's labels"
    if not right.all():
        row, *place = (~right).nonzero()[0].tolist()
        raise UserError(
            f"{what} has {labels[row, *place].item()} in row {row} of 0 .. {len(labels) - 1}: "
            f"{must}"
        )
    return fitted
