"""Labels in a file beside the data: a column of a CSV, TSV, parquet or NumPy file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks.arrays import as_tensor
from adiw_tune.tasks.coverage import listed
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.targets import is_binary

ENDINGS = (".csv", ".tsv", ".parquet", ".npy")


def labels_from(file: str, column: str, data: Data) -> Tensor:
    """Labels of all of ``data.rows`` from a column of a file: of the kind and shape of their own.

    There is a value for each row, in the order of the rows. Classes are told by their names where
    the task's labels are names, else by their numbers.

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
        raise UserError(f"no file '{file}' for shift labels: give one that is there")
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
    if column not in table.column_names:
        raise UserError(
            f"'{file}' has no column '{column}': name one of {listed(table.column_names)}, as in "
            f"labels:{file.name}#{table.column_names[0]}"
        )
    return np.asarray(table[column].to_pylist() if table[column].null_count else table[column])


def _text(file: Path, column: str, names: bool) -> Any:
    import pyarrow
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=",")
    if file.suffix == ".tsv":
        parsing = csv.ParseOptions(delimiter="\t", quote_char=False)
    types = {column: pyarrow.string()} if names else {}  # a name may look like a number
    empty = csv.ConvertOptions(null_values=[""], strings_can_be_null=True, column_types=types)
    return csv.read_csv(file, parse_options=parsing, convert_options=empty)


def _parquet(file: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(file)


def _column(array: Any, file: Path, column: str) -> Any:
    if not column:
        return array
    known = array.dtype.names or [str(i) for i in range(array.shape[1] if array.ndim == 2 else 0)]
    if column not in known:
        raise UserError(f"'{file}' has no column '{column}': its columns are {listed(known)}")
    return array[column] if array.dtype.names else array[:, int(column)]


def _missing(values: Any) -> Any:
    """The rows that lack a value."""
    if values.dtype.kind == "O":
        return [row for row, value in enumerate(values) if value is None or value != value]
    rows = values.reshape(len(values), -1)
    return np.isnan(rows).any(axis=1).nonzero()[0] if values.dtype.kind == "f" else []


def _named(values: Any, what: str, data: Data) -> Tensor:
    if values.ndim != 1:
        raise UserError(f"{what} has shape {list(values.shape)}: give one name for each row")
    places = {name: place for place, name in enumerate(data.names)}
    unknown = next((str(value) for value in values if value not in places), None)
    if unknown is not None:
        raise UserError(
            f"{what} has '{unknown}', which is none of the task's names: they are "
            f"{listed(data.names)}"
        )
    return torch.tensor([places[value] for value in values])


def _numbers(values: Any, what: str) -> Tensor:
    if values.dtype.kind in "OUS":
        raise UserError(f"{what} has names such as '{values.flat[0]}': the labels are numbers")
    return as_tensor(values, f"values of {what}")


def _fitted(labels: Tensor, what: str, data: Data) -> Tensor:
    """``labels`` as rows carry them, refused if they are not of the kind."""
    own = data.rows.labels
    if labels.numel() != own.numel():
        raise UserError(
            f"{what} has shape {list(labels.shape)}, the labels of train have {list(own.shape)}"
        )
    fitted = labels.reshape(own.shape).to(own.dtype)
    if data.targets == "classes":
        whole = bool((fitted == labels.reshape(own.shape)).all())
        if not whole or not 0 <= int(fitted.min()) <= int(fitted.max()) < data.classes:
            most = data.classes - 1
            raise UserError(f"{what} has values that are no classes: classes are 0 .. {most}")
    if data.targets == "binary" and not is_binary(fitted):
        raise UserError(f"{what} has values other than 0 and 1")
    return fitted
