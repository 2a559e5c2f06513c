"""What a torch ``Dataset`` of (inputs, label) pairs gives, checked where it is read."""

import reprlib
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError, in_one_line, told_as

_INT64 = range(-(2**63), 2**63)
_COMPARED = 8  # items whose own labels must be those that ``targets`` tell
_NO_NUMBER = (TypeError, ValueError, OverflowError, RuntimeError)  # from Python, numpy and torch


def read_inputs(dataset: Dataset[Any], items: list[int], name: str) -> list[Tensor]:
    """The inputs of ``items``: tensors of one shape and dtype, without a graph.

    ``name`` is what errors call the data set, here and below.
    """
    inputs = [_read(dataset, item, name)[0] for item in items]
    for item, x in zip(items, inputs, strict=True):
        _check_inputs(x, f"item {item} of {name}", inputs[0])
    return [x.detach() for x in inputs]


def read_labels(dataset: Dataset[Any], name: str) -> Tensor:
    """The labels of all items: [n], whole numbers.

    Taken from ``dataset.targets``, as torchvision's data sets have them, if the items looked at
    agree with them. Where there are none, or a ``target_transform`` changes them on the way,
    every item is read once.
    """
    n = _length(dataset, name)
    labels = _labels(dataset, n, name)
    if (now := _length(dataset, name)) != n:
        raise UserError(f"__len__ of {name} gives {n}, and then {now}: give the same each time")
    return labels


def _length(dataset: Any, name: str) -> int:
    right = "give a whole number, 0 or more"
    with told_as(lambda error: f"__len__ of {name} fails ({in_one_line(error)}): {right}"):
        return len(dataset)


def _labels(dataset: Dataset[Any], n: int, name: str) -> Tensor:
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        return torch.tensor([_label(dataset, item, name) for item in range(n)], dtype=torch.int64)
    labels = as_column(targets, f"targets of {name}", n)
    for item in torch.linspace(0, n - 1, min(n, _COMPARED)).long().tolist():
        own = _label(dataset, item, name)
        if own != labels[item]:
            raise UserError(
                f"item {item} of {name} has the label {own}, its targets say "
                f"{labels[item].item()}: make them agree"
            )
    return labels


def as_column(values: Any, what: str, rows: int) -> Tensor:
    """A tensor, [rows], of whole ``values``: a tensor, a list or an array. ``what`` names them."""
    try:
        column = torch.as_tensor(values)
    except _NO_NUMBER as error:
        raise UserError(f"{what} are no numbers ({in_one_line(error)}): give int64") from error
    if (kind := without_values(column)) is not None:
        raise UserError(f"{what} are {kind}: give a dense tensor [{rows}]")
    if column.shape != (rows,):
        raise UserError(f"{what} have shape {list(column.shape)}: give [{rows}]")
    whole = not (column.is_floating_point() or column.is_complex() or column.dtype == torch.bool)
    if rows and not whole:  # torch makes floats of an empty list
        raise UserError(f"{what} are {column.dtype}: give int64")
    return column.long()


def without_values(x: Tensor) -> str | None:
    """What ``x`` is, if it is no dense tensor that holds plain numbers; None if it is."""
    if x.is_nested:
        return "nested"
    if x.is_quantized:
        return f"{list(x.shape)} quantized"
    if x.layout != torch.strided:
        return f"{list(x.shape)} {x.layout}"
    return f"{list(x.shape)} on the meta device" if x.is_meta else None


def _read(dataset: Dataset[Any], item: int, name: str) -> tuple[Any, Any]:
    unread = f"item {item} of {name} cannot be read as an (inputs, label) pair"
    with told_as(lambda error: f"{unread} ({in_one_line(error)})"):
        found = dataset[item]
        return found[0], found[1]


def _label(dataset: Dataset[Any], item: int, name: str) -> int:
    label = _read(dataset, item, name)[1]
    try:
        number = int(label)
        if number == label and number in _INT64:
            return number
    except _NO_NUMBER:
        pass
    shape = getattr(label, "shape", ())  # a tensor of many numbers is printed in many lines
    told = f"a label of shape {list(shape)}" if shape else f"the label {reprlib.repr(label)}"
    raise UserError(
        f"item {item} of {name} has {told}: labels must be whole numbers that int64 holds"
    )


def _check_inputs(inputs: Any, item: str, first: Any) -> None:
    if not isinstance(inputs, Tensor):
        raise UserError(f"{item} has inputs of type {type(inputs).__name__}: make a tensor of them")
    if (kind := without_values(inputs)) is not None:
        raise UserError(f"{item} has inputs that are {kind}: make them dense")
    if inputs.shape != first.shape or inputs.dtype != first.dtype:
        raise UserError(
            f"{item} has inputs {list(inputs.shape)} {inputs.dtype}, another has "
            f"{list(first.shape)} {first.dtype}: all must be alike"
        )
