"""Labels as a user gives them: tensors, arrays or lists of numbers, or names."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.tasks.arrays import as_tensor, signed


@dataclass(frozen=True)
class Labels:
    """Labels of n rows as numbers, [n, ...].

    Labels given as names are numbered by their place in ``names``, which is sorted; ``names`` is
    empty if the labels were given as numbers.
    """

    values: Tensor
    names: tuple[str, ...] = ()

    @classmethod
    def of_names(cls, given: Sequence[str]) -> "Labels":
        """Of one name for each row."""
        names = tuple(sorted(set(given)))
        places = {name: place for place, name in enumerate(names)}
        return cls(torch.tensor([places[name] for name in given], dtype=torch.int64), names)

    def at(self, row: int) -> Any:
        """What the label of a row came as: a name, a number or nested lists of them."""
        value: Any = self.values[row].tolist()
        return self.names[value] if self.names else value


def as_labels(given: Any, what: str, rows: int) -> Labels:
    """The labels of ``rows`` rows, one for each; ``what`` names them in errors."""
    labels = _many(given, what)
    if labels.values.ndim == 0 or len(labels.values) != rows:
        raise UserError(
            f"{what} have shape {list(labels.values.shape)}: give one for each of {rows} rows"
        )
    return labels


def labels_of_items(given: Sequence[Any], items: Sequence[int], name: str) -> Labels:
    """From one label for each of ``items`` of the data set ``name``: all names, or all alike."""
    if given and all(isinstance(label, str) for label in given):
        return Labels.of_names(given)
    labels = [_one(label, item, name) for label, item in zip(given, items, strict=True)]
    for item, label in zip(items, labels, strict=True):
        if (label.shape, label.dtype) != (labels[0].shape, labels[0].dtype):
            told = f"{list(label.shape)} {label.dtype}"
            first = f"{list(labels[0].shape)} {labels[0].dtype}"
            raise UserError(
                f"item {item} of {name} has a label {told}, another has {first}: all must be alike"
            )
    return Labels(torch.stack(labels) if labels else torch.zeros(0, dtype=torch.int64))


def as_column(values: Any, what: str, rows: int) -> Tensor:
    """A tensor, [rows], of whole ``values``: a tensor, a list or an array. ``what`` names them."""
    column = as_tensor(_array(values, what), what)
    if column.shape != (rows,):
        raise UserError(f"{what} have shape {list(column.shape)}: give [{rows}]")
    whole = not (column.is_floating_point() or column.is_complex() or column.dtype == torch.bool)
    if rows and not whole:  # NumPy makes floats of an empty list
        raise UserError(f"{what} are {column.dtype}: give int64")
    return column.long()


def _many(given: Any, what: str) -> Labels:
    given = _array(given, what)
    if isinstance(given, np.ndarray) and given.dtype.kind in "OU":
        named = [isinstance(label, str) for label in given.flat]
        if given.ndim == 1 and all(named):
            return Labels.of_names(given.tolist())
        if any(named):
            raise UserError(f"{what} are names and other things: give a name or a number a row")
    return Labels(_with_supported_dtype(as_tensor(given, what), what))


def _array(given: Any, what: str) -> Any:
    """A list as an array or a tensor, and so what makes an array of itself; all else as it is."""
    if isinstance(given, Tensor):
        return given
    if not isinstance(given, list | tuple | range):
        return np.asarray(given) if hasattr(given, "__array__") else given
    try:
        if any(isinstance(one, Tensor) for one in given):
            return torch.stack([torch.as_tensor(one) for one in given])
        named = any(isinstance(one, str) for one in given)
        return np.array(given, dtype=object if named else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{what} are not alike ({in_one_line(error)}): make them so") from error


def _one(label: Any, item: int, name: str) -> Tensor:
    try:
        return _with_supported_dtype(as_tensor(label, "it"), "it")
    except UserError:
        told = reprlib.repr(label)
        raise UserError(
            f"item {item} of {name} has the label {told}: give a number, a name or a tensor, all "
            "of one kind"
        ) from None


def _with_supported_dtype(labels: Tensor, what: str) -> Tensor:
    """float64 as float32, which losses are; uint16 to uint64 as int64."""
    return labels.float() if labels.dtype == torch.float64 else signed(labels, what)
