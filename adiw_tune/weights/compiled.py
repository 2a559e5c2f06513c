"""A function of tensors compiled where that works, and as it is where it does not."""

import warnings
from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor


class Compiled:
    """``function``, compiled by ``torch.compile`` when first called.

    The weights of a mini-batch take hundreds of small operations, and most of their time goes
    into starting them. On the CPU a compiled step starts a tenth as many; on CUDA it is recorded
    as a graph and replayed. Compiling takes seconds, or tens of seconds the first time on a
    machine, and some more when the mini-batch's size changes for the first time.

    Where compiling fails (no C++ compiler, something unsupported in a user's own divergence) the
    function runs as it is from then on, and a warning says so once.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self._run: Callable[..., Tensor] | None = None

    def __call__(self, *arguments: Tensor) -> Tensor:
        """``function(*arguments)``."""
        try:
            if self._run is None:
                self._run = _compile(self.function, arguments[0].device)
            return self._run(*arguments).clone()  # a replayed graph writes to the same memory
        except Exception as error:
            if self._run is self.function:
                raise
            self._run = self.function
            result = self.function(*arguments)  # if this fails too, compiling is not to blame
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
            warnings.warn(f"weights run uncompiled: {reason}", RuntimeWarning, stacklevel=2)
            return result


def _compile(function: Callable[..., Tensor], device: torch.device) -> Callable[..., Tensor]:
    def call(*arguments: Tensor) -> Tensor:
        return function(*arguments)

    # torch.compile gives up on code that it has met in too many variants, over all weighters of
    # the process. Code of its own gives each weighter a count of its own.
    own = FunctionType(call.__code__.replace(), globals(), closure=call.__closure__)
    if device.type == "cuda":
        return torch.compile(own, mode="reduce-overhead")
    return torch.compile(own, options={"cpp_wrapper": True})
