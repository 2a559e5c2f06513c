"""Divergence, solver and memory as one object: the three lines for anyone's training loop."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from adiw_tune.divergences import Divergence, make_divergence
from adiw_tune.weights.compiled import Compiled
from adiw_tune.weights.memory import WeightMemory
from adiw_tune.weights.solver import WeightSolver


class ImportanceWeighter(nn.Module):
    """Importance weights of each mini-batch, estimated inside the training loop (ADIW).

        weighter = ImportanceWeighter(len(train_set), "mmd")
        ...
        w = weighter(losses, reference_losses, index)
        (w * losses).mean().backward()

    Move it with ``.to(device)``; its ``state_dict`` holds the remembered weights.

    Args:
        size: number of training samples; ``index`` runs over 0 .. size - 1.
        divergence: a name of :data:`adiw_tune.divergences.DIVERGENCES`, the path of a Python
            file (see :func:`adiw_tune.divergences.make_divergence`), or any Divergence.
        solver: number and size of the steps, and the feasible set.
        retention: how much of a weight's distance from 1 the next start keeps, in [0, 1]: 1
            remembers for good, 0 starts at w = 1 each time.
        compiled: whether ``torch.compile`` makes one function of a step, which is several times
            faster and takes seconds to compile at the first; see
            :class:`adiw_tune.weights.compiled.Compiled`.

    Source: Fang et al., "Accelerated dynamic importance weighting", arXiv 2605.25499.
    """

    def __init__(
        self,
        size: int,
        divergence: str | Divergence = "mmd",
        solver: WeightSolver | None = None,
        retention: float = 0.5,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.divergence = make_divergence(divergence) if isinstance(divergence, str) else divergence
        self.solver = solver or WeightSolver()
        self.memory = WeightMemory(size, retention)
        self._estimate = Compiled(self._solve) if compiled else self._solve

    @torch.no_grad()
    def forward(self, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Weights of one mini-batch, with mean 1 by default: [n], dtype and device of ``source``.

        Args:
            source: [n] losses or [n, d] features of the training rows. Not differentiated.
            target: [m] or [m, d], the same of the reference rows.
            index: [n], which training samples these are.
        """
        z, v = _at_least_float32(source), _at_least_float32(target)
        with _autocast_off(z.device):
            w = self._estimate(z, v, self.memory.read(index).to(z.dtype))
        self.memory.write(index, w)
        return w.to(source.dtype)

    def _solve(self, source: Tensor, target: Tensor, start: Tensor) -> Tensor:
        return self.solver.solve(self.divergence.prepare(source, target), start)


def _autocast_off(device: torch.device) -> AbstractContextManager[object]:
    """Mixed-precision loops call the criterion, and so the weighter, inside autocast."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _at_least_float32(z: Tensor) -> Tensor:
    """Half-precision losses are too coarse for distances between them."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
