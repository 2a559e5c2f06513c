"""Buffers that are of one process, where several train one network together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from torch import Tensor, nn


class ProcessLocal(nn.Module):
    """A module with local buffers, which DistributedDataParallel does not synchronise.

    Before each forward pass DistributedDataParallel copies the tensors that ``buffers()`` lists
    from rank 0 to all other processes. Local buffers are not listed there. Otherwise they behave as
    buffers do: ``.to(device)`` moves them, and ``state_dict()`` and ``load_state_dict()`` save and
    load them if they are persistent.
    """

    def __init__(self) -> None:
        super().__init__()
        self._local: list[str] = []

    def register_local_buffer(self, name: str, tensor: Tensor, persistent: bool = True) -> None:
        """Like ``register_buffer``, for a tensor of this process."""
        self.register_buffer(name, tensor, persistent)
        self._local.append(name)
        self.__dict__[name] = self._buffers.pop(name)

    @contextmanager
    def _listed(self) -> Iterator[None]:
        """Local buffers are listed as long as torch moves, saves or loads them."""
        for name in self._local:
            self._buffers[name] = self.__dict__.pop(name)
        try:
            yield
        finally:
            for name in self._local:
                self.__dict__[name] = self._buffers.pop(name)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        with self._listed():
            super()._apply(fn, recurse)
        return self

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        with self._listed():
            super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        with self._listed():
            super()._load_from_state_dict(*args, **kwargs)
