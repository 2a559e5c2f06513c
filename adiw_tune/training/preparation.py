"""First steps of a run, which take what later ones do not: compiling, and choosing kernels."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adiw_tune.tasks import Split
from adiw_tune.tasks.rows import at_once, loaded
from adiw_tune.training.memory import begin_measuring_memory
from adiw_tune.training.methods import Method, Step

if TYPE_CHECKING:
    from adiw_tune.training.loop import TrainingRun

MiniBatch = tuple[Tensor, Callable[[], Split]]

_FIRST = 3  # steps until all is ready: a CUDA graph is warmed up, recorded, and replayed


def prepare(run: "TrainingRun") -> None:
    """Take steps of each kind and size that ``run`` will take. The caller takes them back.

    An epoch's last mini-batch, if it is short, has code compiled for its size, and kernels chosen.
    Memory is measured after that: what compiling and choosing took for once, no later step needs.
    """
    run.network.train()
    mini_batches = held_mini_batches(run, 1) + _short_mini_batch(run)
    some = torch.arange(min(len(run.splits.select), at_once(run.splits.select)))
    evaluated = loaded(run.splits.select.take(some.to(run.splits.select.labels.device)))

    def take(count: int) -> None:
        for loss in kinds_of_step(run.method):
            for index, rows in mini_batches:
                for _ in range(count):
                    run._step(index, rows(), loss)
        run._learner.evaluate(evaluated)

    take(_FIRST)
    begin_measuring_memory(run.device)
    take(1)


def kinds_of_step(method: Method) -> list[Callable[[Step], Tensor]]:
    """Losses of the kinds of steps, without repetition: plain, of the warm-up, the method's own."""
    kind = type(method)
    kinds: list[Callable[[Step], Tensor]] = [method.plain_loss]
    if method.reference_weight:
        kinds.append(method.warm_up_loss)
    if kind.weigh is not Method.weigh or kind.weighted_loss is not Method.weighted_loss:
        kinds.append(method.loss)
    return kinds


def held_mini_batches(run: "TrainingRun", most: int) -> list[MiniBatch]:
    """Whole ones, as far as there are: their row numbers, and what gathers this process's share.

    From memory: reading from files goes on beside the steps, and is no part of them.
    """
    size, order = run.config.batch_size, run._epoch_order()
    return _held(run, order[: size * max(1, min(most, len(order) // size))])


def _short_mini_batch(run: "TrainingRun") -> list[MiniBatch]:
    """The last one of an epoch, where it is smaller than the others; else none."""
    size, order = run.config.batch_size, run._epoch_order()
    rest = len(order) % size
    return _held(run, order[-rest:]) if rest and rest < len(order) else []


def _held(run: "TrainingRun", order: Tensor) -> list[MiniBatch]:
    rows, size = run.method.rows, run.config.batch_size
    shares = [index[run.peers.share(len(index))] for index in order.split(size)]
    if rows.collated:  # each as it was padded for itself
        gathers = [partial(part.take, slice(None)) for part in rows.batches(shares)]
    else:
        held = loaded(rows.take(torch.cat(shares).to(rows.labels.device)))
        places = torch.arange(len(held), device=run.device).split([len(share) for share in shares])
        gathers = [partial(held.take, place) for place in places]
    return list(zip(order.to(run.device).split(size), gathers, strict=True))
