"""What a mini-batch must be for weights to be estimated from it."""

import torch
from torch import Tensor

from adiw_tune.errors import UserError

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_WHOLE = (torch.int32, torch.int64)  # what torch takes as numbers of rows; uint8 it takes as a mask


def check_mini_batch(source: Tensor, target: Tensor, index: Tensor, memory: Tensor) -> None:
    """Refuse a mini-batch that weights cannot be estimated from, or wrong ones would be.

    Shapes, dtypes and devices are looked at, which no host waits for. So are the values of an
    ``index`` on the CPU; those of what is on a GPU are not, see :func:`check_contents`.

    Args:
        source: [n] or [n, d], floating point.
        target: [m] or [m, d], of the same d, dtype and device.
        index: [n], int64 or int32, on the CPU or beside ``source``.
        memory: the remembered weights, beside ``source``.

    Raises:
        UserError: says what is wrong, and what would be right.
    """
    _check_points("source", source)
    _check_points("target", target)
    if source.shape[1:] != target.shape[1:]:
        raise UserError(
            f"source is {list(source.shape)} and target {list(target.shape)}: give the losses of "
            "both, or features of the same width"
        )
    if source.dtype != target.dtype:
        raise UserError(
            f"source is {source.dtype} and target {target.dtype}: give both in one dtype"
        )
    _check_devices(source, target, memory)
    _check_index(index, source)
    if index.device.type == "cpu" and not torch.compiler.is_compiling():
        _check_range(index, len(memory))


def check_contents(source: Tensor, target: Tensor, index: Tensor, memory: Tensor) -> None:
    """Refuse values that are not finite, and an ``index`` out of range. On a GPU the host waits.

    Raises:
        UserError: names the first of them.
    """
    _check_range(index, len(memory))
    for name, z in (("source", source), ("target", target)):
        finite = z.isfinite().reshape(len(z), -1).all(dim=1)
        if not finite.all():
            bad = (~finite).nonzero().flatten()
            value = z[bad[0]].flatten()
            raise UserError(
                f"{len(bad)} of {len(z)} rows of {name} are not finite; the first is row "
                f"{int(bad[0])}, with {float(value[~value.isfinite()][0])}"
            )


def _check_points(name: str, z: object) -> None:
    if not isinstance(z, Tensor):
        raise UserError(f"{name} must be a tensor; got {type(z).__name__}")
    if z.is_nested:
        raise UserError(f"{name} is nested: give dense losses [n], or features [n, d]")
    shape = list(z.shape)
    if z.ndim == 0:
        raise UserError(
            f"{name} is a single number: give the loss of each row, [n] (reduction='none')"
        )
    if z.ndim == 2 and z.shape[1] == 1:
        raise UserError(
            f"{name} is {shape}: give one number for each row as [n], by {name}.squeeze(1), since "
            "weights [n] times losses [n, 1] would be [n, n]"
        )
    if z.ndim > 2 or z.layout != torch.strided:
        kind = f"{shape} {z.layout}".removesuffix(f" {torch.strided}")
        raise UserError(
            f"{name} is {kind}: give dense losses [n], or features [n, d] by flatten(1)"
        )
    if 0 in shape:
        raise UserError(f"{name} is {shape}: at least one row is needed, and one number in each")
    if z.dtype not in _FLOATS:
        raise UserError(f"{name} is {z.dtype}: give float16, bfloat16, float32 or float64")


def _check_devices(source: Tensor, target: Tensor, memory: Tensor) -> None:
    if source.device != target.device:
        raise UserError(
            f"source is on {source.device} and target on {target.device}: move one to the other"
        )
    if memory.device != source.device:
        raise UserError(
            f"the weighter is on {memory.device} and source on {source.device}: move it there, by "
            f"weighter.to('{source.device}')"
        )


def _check_index(index: object, source: Tensor) -> None:
    if not isinstance(index, Tensor):
        raise UserError(f"index must be a tensor of sample numbers; got {type(index).__name__}")
    if index.dtype not in _WHOLE or index.is_nested:
        kind = "nested" if index.is_nested else index.dtype
        raise UserError(f"index is {kind}: give sample numbers as a dense int64 tensor [n]")
    if index.shape != source.shape[:1]:
        raise UserError(
            f"index is {list(index.shape)}: give the sample number of each row of source, "
            f"[{len(source)}]"
        )
    if index.device.type != "cpu" and index.device != source.device:
        raise UserError(
            f"index is on {index.device} and source on {source.device}: move index there"
        )


def _check_range(index: Tensor, size: int) -> None:
    low, high = (int(end) for end in index.aminmax())
    if low < 0 or high >= size:
        raise UserError(
            f"index runs from {low} to {high}: with {size} training samples it must lie in "
            f"0 .. {size - 1}"
        )
