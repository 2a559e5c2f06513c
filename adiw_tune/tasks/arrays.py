"""What a user gives for tensors: tensors, NumPy arrays and numbers, alone or in a nest."""

from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.tasks.nests import Nest, mapped, named


def as_tensors(nest: Nest, of: str) -> Nest:
    """``nest`` with a tensor for each leaf, as :func:`as_tensor`; ``of`` names what it is of."""
    tensors = [as_tensor(x, f"{at} of {of}") for at, x in named(nest)]
    if not tensors:
        raise UserError(f"inputs of {of} hold no tensor: give one, or dicts and tuples of tensors")
    parts = iter(tensors)
    return mapped(lambda _: next(parts), nest)


def as_tensor(value: Any, what: str) -> Tensor:
    """``value`` as a dense tensor, without its graph.

    A tensor keeps its dtype. Of arrays float64, which is NumPy's default, becomes float32, which
    is torch's. ``what`` names the value in errors, in the plural.
    """
    tensor = value if isinstance(value, Tensor) else _converted(value, what)
    if (kind := without_values(tensor)) is not None:
        raise UserError(f"{what} are {kind}: give a dense tensor")
    return tensor.detach()


def from_array(array: Any, what: str) -> Tensor:
    """A NumPy ``array`` as a tensor of its dtype; ``what`` names it in errors, in the plural."""
    try:
        # torch takes neither foreign byte order nor read-only memory.
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{what} have dtype {array.dtype}, which torch does not support: give int64 or float32"
        ) from error


def signed(x: Tensor, what: str) -> Tensor:
    """``x`` as int64 if it is uint16, uint32 or uint64, since torch has no ``min()`` for these."""
    if x.dtype not in (torch.uint16, torch.uint32, torch.uint64):
        return x
    whole = x.long()
    if (whole < 0).any():
        raise UserError(f"{what} include numbers above 2**63 - 1: give numbers that fit int64")
    return whole


def _converted(value: Any, what: str) -> Tensor:
    if not (hasattr(value, "__array__") or isinstance(value, Number)):
        raise UserError(f"{what} are of type {type(value).__name__}: give a tensor")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{what} are no numbers ({in_one_line(error)}): give a tensor") from error
    if array.dtype.kind == "f" and array.dtype.itemsize == 8:  # of any byte order
        with np.errstate(over="ignore"):
            # In C order, of which from_array() needs no second copy: one may fill the memory.
            array = array.astype(np.float32, order="C")
    return from_array(array, what)


def without_values(x: Tensor) -> str | None:
    """What ``x`` is, if it is no dense tensor that holds plain numbers; None if it is."""
    if x.is_nested:
        return "nested"
    if x.is_quantized:
        return f"{list(x.shape)} quantized"
    if x.layout != torch.strided:
        return f"{list(x.shape)} {x.layout}"
    return f"{list(x.shape)} on the meta device" if x.is_meta else None
