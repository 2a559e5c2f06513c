"""The processes that train one network together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Peers:
    """The processes that train one network together, as this one of them sees it.

    Each has its share of the rows of a mini-batch, in order, sizes as even as can be. Where there
    are fewer rows than peers, a peer without one has the first row as a stand-in, since a network
    may not take no rows at all; ``own`` and ``gathered`` leave it out.

    ``Peers()`` is one process alone, for which everything here comes at no cost. Otherwise all
    have to call the same of these in the same order. None makes the host wait for a GPU, except
    :meth:`agreed`.

    Args:
        rank: of this process, in [0, size).
        size: number of processes.
        device: where the tensors that they exchange have to be.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def joined(cls) -> Self:
        """The default process group of ``torch.distributed``, which has been initialised."""
        on_cuda = dist.get_backend() == "nccl"
        device = torch.device("cuda", torch.cuda.current_device()) if on_cuda else "cpu"
        return cls(dist.get_rank(), dist.get_world_size(), torch.device(device))

    def share(self, n: int) -> slice:
        """Which of ``n`` rows this process has, at least one."""
        start, count = self._start(n), self._count(n)
        return slice(start, start + count) if count else slice(0, 1)

    def own(self, part: Tensor, n: int) -> Tensor:
        """What there is for this process's share of ``n`` rows, [rows, ...], and no stand-in."""
        return part if self.size == 1 else part[: self._count(n)]

    def gathered(self, part: Tensor, n: int) -> Tensor:
        """What all have for their shares of ``n`` rows, without gradient: [n, ...]."""
        if self.size == 1:
            return part
        most, larger = -(-n // self.size), n % self.size  # the first peers have one row more
        padded = part.new_zeros(most, *part.shape[1:])
        own = self.own(part.detach(), n)
        padded[: len(own)] = own
        parts = part.new_empty(self.size * most, *part.shape[1:])
        dist.all_gather_into_tensor(parts, padded)
        if not larger:
            return parts
        full = larger * most
        others = parts[full:].unflatten(0, (self.size - larger, most))[:, :-1]
        return torch.cat([parts[:full], others.flatten(0, 1)])

    def summed(self, tensors: Iterable[Tensor]) -> list[Tensor]:
        """The sums of these over all peers, which are sent as one."""
        tensors = list(tensors)
        if self.size == 1:
            return tensors
        sums = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(sums)
        parts = sums.split([tensor.numel() for tensor in tensors])
        return [sum.view_as(one).to(one.dtype) for sum, one in zip(parts, tensors, strict=True)]

    def once(self, make: Callable[[], Tensor], like: Tensor) -> Tensor:
        """What ``make`` gives the first peer, the only one to call it; ``like`` is of its kind."""
        if self.size == 1:
            return make()
        plain = torch.contiguous_format  # what is sent is memory, in the order it lies there
        made = make() if self.rank == 0 else torch.empty_like(like, memory_format=plain)
        made = made.contiguous()
        dist.broadcast(made, src=0)
        return made

    def agreed(self, answer: bool) -> bool:
        """The first peer's answer, where what it hangs on may differ."""
        if self.size == 1:
            return answer
        told = torch.tensor(answer, dtype=torch.uint8, device=self.device)
        return bool(self.once(lambda: told, like=told))

    def _start(self, n: int) -> int:
        return self.rank * (n // self.size) + min(self.rank, n % self.size)

    def _count(self, n: int) -> int:
        return n // self.size + (self.rank < n % self.size)


def is_broken_connection(error: Exception) -> bool:
    """Whether ``error`` comes from the connection to peers, for example after one has died."""
    return isinstance(error, dist.DistError) or (
        type(error) is RuntimeError and ("gloo" in str(error) or "NCCL" in str(error))
    )
