"""What a torch ``Dataset`` of (inputs, label) pairs gives, checked where it is read."""

import reprlib
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError, in_one_line

_COMPARED = 8  # items whose own labels must be those that ``targets`` tell
_NO_NUMBER = (TypeError, ValueError, OverflowError, RuntimeError)  # from Python, numpy and torch


def read_inputs(dataset: Dataset[Any], items: list[int]) -> list[Tensor]:
    """The inputs of ``items``: tensors of one shape and dtype, without a graph."""
    inputs = [_read(dataset, item)[0] for item in items]
    for item, x in zip(items, inputs, strict=True):
        _check_inputs(x, item, inputs[0])
    return [x.detach() for x in inputs]


def read_labels(dataset: Dataset[Any]) -> Tensor:
    """The labels of all items: [n], whole numbers.

    Taken from ``dataset.targets``, as torchvision's data sets have them, if the items looked at
    agree with them. Where there are none, or a ``target_transform`` changes them on the way,
    every item is read once.
    """
    n = len(dataset)  # type: ignore[arg-type]
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        return torch.tensor([_label(dataset, item) for item in range(n)], dtype=torch.int64)
    labels = as_column(targets, f"targets of {_name(dataset)}", n)
    for item in torch.linspace(0, n - 1, min(n, _COMPARED)).long().tolist():
        own = _label(dataset, item)
        if own != labels[item]:
            raise UserError(
                f"item {item} of {_name(dataset)} has the label {own}, its targets say "
                f"{labels[item].item()}: make them agree"
            )
    return labels


def as_column(values: Any, what: str, rows: int) -> Tensor:
    """A tensor, [rows], of whole ``values``: a tensor, a list or an array. ``what`` names them."""
    try:
        column = torch.as_tensor(values)
    except _NO_NUMBER as error:
        raise UserError(f"{what} are no numbers ({in_one_line(error)}): give int64") from error
    if column.shape != (rows,):
        raise UserError(f"{what} have shape {list(column.shape)}: give [{rows}]")
    whole = not (column.is_floating_point() or column.is_complex() or column.dtype == torch.bool)
    if rows and not whole:  # torch makes floats of an empty list
        raise UserError(f"{what} are {column.dtype}: give int64")
    return column.long()


def _read(dataset: Dataset[Any], item: int) -> tuple[Any, Any]:
    try:
        found = dataset[item]
        inputs, label = found[0], found[1]
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"item {item} of {_name(dataset)} cannot be read as an (inputs, label) pair "
            f"({in_one_line(error)})"
        ) from error
    return inputs, label


def _label(dataset: Dataset[Any], item: int) -> int:
    label = _read(dataset, item)[1]
    try:
        number = int(label)
        if number == label:
            return number
    except _NO_NUMBER:
        pass
    shape = getattr(label, "shape", ())  # a tensor of many numbers is printed in many lines
    told = f"a label of shape {list(shape)}" if shape else f"the label {reprlib.repr(label)}"
    raise UserError(f"item {item} of {_name(dataset)} has {told}: labels are whole numbers")


def _check_inputs(inputs: Any, item: int, first: Any) -> None:
    if not isinstance(inputs, Tensor):
        raise UserError(
            f"item {item} has inputs of type {type(inputs).__name__}: make a tensor of them"
        )
    if inputs.layout != torch.strided:
        raise UserError(f"item {item} has inputs that are {inputs.layout}: make them dense")
    if inputs.shape != first.shape or inputs.dtype != first.dtype:
        raise UserError(
            f"item {item} has inputs {list(inputs.shape)} {inputs.dtype}, another has "
            f"{list(first.shape)} {first.dtype}: all must be alike"
        )


def _name(dataset: Dataset[Any]) -> str:
    return type(dataset).__name__
