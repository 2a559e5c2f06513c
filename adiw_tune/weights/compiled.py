"""A function of tensors compiled where that works, and as it is where it does not."""

import warnings
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from adiw_tune.divergences.kernels import keep_compiler_from_blocks
from adiw_tune.errors import lacks_memory

_Function = Callable[..., Tensor]
_Way = tuple[str, Callable[[], _Function]]


class Compiled:
    """``function``, compiled by ``torch.compile`` when first called.

    The weights of a mini-batch take hundreds of small operations, and most of their time goes
    into starting them. On the CPU a compiled step starts a tenth as many; on CUDA it is recorded
    as a graph and replayed. Compiling takes seconds, or tens of seconds the first time on a
    machine, and some more when the mini-batch's size changes for the first time.

    Where compiling fails (no C++ compiler, something unsupported in a user's own divergence) the
    function runs as it is from then on, and a warning says so once. On CUDA it is compiled without
    a graph before that: torch up to 2.13 records graphs in the main thread of a process alone.
    Memory that runs out is no failure to compile, and is raised.
    """

    def __init__(self, function: _Function) -> None:
        self.function = function
        self._run: _Function | None = None
        self._ways: list[_Way] = []  # still to be tried, that of ``_run`` first

    def __call__(self, *arguments: Tensor) -> Tensor:
        """``function(*arguments)``."""
        self._ways = self._ways or _ways(self.function, arguments[0].device)
        failure: Exception | None = None
        while True:
            how, make = self._ways[0]
            try:
                self._run = self._run or make()
                result = self._run(*arguments).clone()  # a replayed graph writes to the same memory
                break
            except Exception as error:
                if len(self._ways) == 1 or lacks_memory(error):
                    raise
                failure = failure or error
                self._run = None
                del self._ways[0]
        if failure is not None:  # and what comes after worked, so it was not the function's own
            reason = f"{type(failure).__name__}: {failure}".strip().splitlines()[0]
            warnings.warn(f"weights run {how}: {reason}", RuntimeWarning, stacklevel=2)
        return result


def _ways(function: _Function, device: torch.device) -> list[_Way]:
    """How ``function`` can run, each with what makes it run so: the fastest first."""
    compiled = partial(_compile, function)
    if device.type == "cuda":
        first = [
            ("compiled", partial(compiled, mode="reduce-overhead")),
            ("without a CUDA graph", compiled),
        ]
    else:
        first = [("compiled", partial(compiled, options={"cpp_wrapper": True}))]
    return [*first, ("uncompiled", lambda: function)]


def _compile(function: _Function, **options: Any) -> _Function:
    def call(*arguments: Tensor) -> Tensor:
        return function(*arguments)

    keep_compiler_from_blocks()
    # torch.compile gives up on code that it has met in too many variants, over all weighters of
    # the process. Code of its own gives each weighter a count of its own.
    own = FunctionType(call.__code__.replace(), globals(), closure=call.__closure__)
    return torch.compile(own, **options)
