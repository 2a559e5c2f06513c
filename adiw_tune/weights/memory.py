"""The last weight of every training sample, so that the solver starts where it left off."""

import operator

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, shown


class WeightMemory(nn.Module):
    """Weights by sample index, 1 for a sample not yet seen.

    A module with one buffer, so that ``.to(device)`` and ``state_dict()`` carry it.

    Args:
        size: number of training samples, at least 1.
        retention: how much of a weight's distance from 1 the next start keeps, in [0, 1]:
            start = 1 + retention * (last - 1). 1 starts at the last weight, 0 always at 1.
    """

    weights: Tensor

    def __init__(self, size: int, retention: float = 1.0) -> None:
        super().__init__()
        try:
            size = operator.index(size)
        except TypeError:
            raise UserError(
                f"size must be a whole number, of training samples; got {shown(size):.100}"
            ) from None
        if size < 1:
            raise UserError(f"size must be at least 1, the number of training samples; got {size}")
        check_number("retention", retention)
        if not 0 <= retention <= 1:
            raise UserError(f"retention must lie in [0, 1]; got {shown(retention)}")
        self.retention = retention
        self.register_buffer("weights", torch.ones(size))

    def read(self, index: Tensor) -> Tensor:
        """The starting weights of the samples ``index``: [n] -> [n]."""
        return 1 + self.retention * (self.weights[index] - 1)

    def write(self, index: Tensor, w: Tensor) -> None:
        """Remember ``w``: [n] as the last weights of the samples ``index``: [n]."""
        self.weights[index] = w.to(self.weights.dtype)
