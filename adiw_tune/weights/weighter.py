"""Divergence, solver and memory as one object: the three lines for anyone's training loop."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from adiw_tune.divergences import Divergence, make_divergence
from adiw_tune.errors import UserError
from adiw_tune.ranges import shown
from adiw_tune.weights.checks import check_contents, check_mini_batch
from adiw_tune.weights.compiled import Compiled
from adiw_tune.weights.memory import WeightMemory
from adiw_tune.weights.process_local import ProcessLocal
from adiw_tune.weights.solver import WeightSolver


class ImportanceWeighter(ProcessLocal):
    """Importance weights of each mini-batch, estimated inside the training loop (ADIW).

        weighter = ImportanceWeighter(len(train_set), "mmd")
        ...
        w = weighter(losses, reference_losses, index)
        (w * losses).mean().backward()

    Move it with ``.to(device)``; its ``state_dict`` holds the remembered weights.
    :class:`adiw_tune.weights.IndexedDataset` gives ``index``.

    Weights are estimated within each mini-batch, also in a short last one and in each micro-batch
    of gradient accumulation. The weighter may be called inside or outside ``torch.autocast``, and
    computes in float32 or float64. With float16, multiply losses by weights before scaling them.

    Where several processes train one network, each estimates and remembers the weights of its own
    rows, also if the weighter is a submodule in DistributedDataParallel. If rows move between
    processes from epoch to epoch, every process must call ``weighter.memory.synchronize()`` after
    each epoch. Otherwise a row starts from the last weight that this process gave it, or from 1,
    and the ``state_dict`` has the weights of this process's rows alone. When training resumes,
    every process loads the ``state_dict``.

    A mini-batch in which a loss is NaN or infinite has weights of 1, and is counted: ``unweighed``
    is how many there were since the weighter was made, an int64 scalar on its device. To read it,
    by ``int(weighter.unweighed)``, waits for a GPU: once an epoch is often enough.

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
        check_contents: whether to refuse values that are not finite and an index out of range,
            with the row at fault. For debugging: on a GPU the host waits for it in each
            mini-batch. Without it torch counts a negative index from the end there.

    Raises:
        UserError: an argument is invalid. A call raises it too, for a mini-batch of wrong shapes,
            dtypes or devices, or with an index on the CPU that is out of range.

    Source: Fang et al., "Accelerated dynamic importance weighting", arXiv 2605.25499.
    """

    unweighed: Tensor

    def __init__(
        self,
        size: int,
        divergence: str | Divergence = "mmd",
        solver: WeightSolver | None = None,
        retention: float = 0.5,
        compiled: bool = False,
        check_contents: bool = False,
    ) -> None:
        super().__init__()
        self.divergence = make_divergence(divergence) if isinstance(divergence, str) else divergence
        if isinstance(self.divergence, type) or not hasattr(self.divergence, "prepare"):
            raise UserError(
                "divergence must be a name, the path of a file, or an object with prepare(source, "
                f"target); got {shown(divergence):.100}"
            )
        self.solver = WeightSolver() if solver is None else solver
        if isinstance(solver, type) or not hasattr(self.solver, "solve"):
            raise UserError(
                f"solver must be a WeightSolver, as WeightSolver(steps=5); got {shown(solver):.100}"
            )
        self.memory = WeightMemory(size, retention)
        self.check_contents = check_contents
        # Not in state_dict: states saved before there was a count load, and it is of this process.
        self.register_local_buffer(
            "unweighed", torch.zeros((), dtype=torch.int64), persistent=False
        )
        self._estimate = Compiled(self._solve) if compiled else self._solve

    @torch.no_grad()
    def forward(self, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Weights of one mini-batch, with mean 1 by default: [n], dtype and device of ``source``.

        Args:
            source: [n] losses or [n, d] features of the training rows, n at least 1, of any
                floating-point dtype of 16 bits or more. Not differentiated. [n, 1] is refused,
                since weights [n] times losses [n, 1] make [n, n]: one-logit losses and features of
                width 1 are given as [n].
            target: [m] or [m, d], the same of the reference rows, m at least 1: of one dtype and
                device with ``source``.
            index: [n], which training samples these are: int64 or int32, in 0 .. size - 1, on the
                CPU or beside ``source``. A sample that is there twice remembers one of its weights.

        Raises:
            UserError: they are not of these kinds.
        """
        check_mini_batch(source, target, index, self.memory.weights)
        if self.check_contents:
            check_contents(source, target, index, self.memory.weights)
        z, v = _at_least_float32(source), _at_least_float32(target)
        with _autocast_off(z.device):
            w = self._estimate(z, v, self.memory.read(index).to(z.dtype))
        w, failed = finite_or_one(w, z, v)
        self.unweighed.add_(failed)
        self.memory.write(index, w)
        return w.to(source.dtype)

    def _solve(self, source: Tensor, target: Tensor, start: Tensor) -> Tensor:
        objective = self.divergence.prepare(source, target)
        if not hasattr(objective, "at"):
            raise UserError(
                f"prepare of {type(self.divergence).__name__} must give an object with at(w); it "
                f"gives {type(objective).__name__}"
            )
        return self.solver.solve(objective, start)


def finite_or_one(w: Tensor, *points: Tensor) -> tuple[Tensor, Tensor]:
    """``w`` where it is finite and so are all ``points``, else 1; and whether there was such: [].

    So that what is not a number is neither trained with nor remembered. Some divergences take an
    infinite point for an outlier, and others do so if it is not among those that give the scale.

    Args:
        w: [n], or [k, n] for k times the weights of the same mini-batch, each judged by itself.
        points: what they were estimated from.
    """
    for z in points:
        w = w + z.mul(0).sum()  # 0, or NaN where one is not finite
    none = ~w.isfinite().all(dim=-1, keepdim=True)
    return w.masked_fill(none, 1.0), none.any()


def _autocast_off(device: torch.device) -> AbstractContextManager[object]:
    """Mixed-precision loops call the criterion, and so the weighter, inside autocast."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def _at_least_float32(z: Tensor) -> Tensor:
    """Half-precision losses are too coarse for distances between them."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
