"""The last weight of every training sample, so that the solver starts where it left off."""

import operator

import torch
import torch.distributed as dist
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, shown
from adiw_tune.weights.process_local import ProcessLocal


class WeightMemory(ProcessLocal):
    """Weights by sample index, 1 for a sample not yet seen.

    A module, so that ``.to(device)`` and ``state_dict()`` carry them. Where several processes train
    one network, each remembers what it has written, and :meth:`synchronize` exchanges that.

    Args:
        size: number of training samples, at least 1.
        retention: how much of a weight's distance from 1 the next start keeps, in [0, 1]:
            start = 1 + retention * (last - 1). 1 starts at the last weight, 0 always at 1.
    """

    weights: Tensor
    written: Tensor  # since the last exchange

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
        self.register_local_buffer("weights", torch.ones(size))
        self.register_local_buffer("written", torch.zeros(size, dtype=torch.bool), persistent=False)

    def read(self, index: Tensor) -> Tensor:
        """The starting weights of the samples ``index``: [n] -> [n]."""
        return 1 + self.retention * (self.weights[index] - 1)

    def write(self, index: Tensor, w: Tensor) -> None:
        """Remember ``w``: [n] as the last weights of the samples ``index``: [n]."""
        self.weights[index] = w.to(self.weights.dtype)
        self.written[index] = True

    def synchronize(self) -> None:
        """Exchange the weights written since the last call among the default process group.

        Every process must call it. A sample that several processes wrote gets the mean of their
        weights. Without a process group it does nothing. It all-reduces 8 bytes for each training
        sample.
        """
        if not (dist.is_available() and dist.is_initialized()):
            return
        own = torch.where(self.written, self.weights, 0)
        sums = torch.stack([own.float(), self.written.float()])
        dist.all_reduce(sums)
        total, writers = sums
        mean = (total / writers.clamp(min=1)).to(self.weights.dtype)
        self.weights.copy_(torch.where(writers > 0, mean, self.weights))
        self.written.zero_()
