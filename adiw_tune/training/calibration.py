"""Measuring what a step costs: plain steps and the configuration's own, in turns."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adiw_tune.tasks import Split
from adiw_tune.tasks.rows import loaded
from adiw_tune.training.methods import Method
from adiw_tune.training.work import StepCost

if TYPE_CHECKING:
    from adiw_tune.training.loop import TrainingRun

Alone = Callable[[], AbstractContextManager[object]]

_HELD = 8  # mini-batches that the steps go through, over and over
_UNMEASURED = 5  # steps of each kind first: memory is allocated, code compiled, losses spread out
_AT_ONCE_ON_CUDA = 8  # steps timed together: to wait for each would time the waiting
_LEAST, _MOST = 8, 60  # pairs of timings
_SECONDS = 1.5  # after which no pair begins, once there are enough
_LOW = 0.2  # share of the plain timings that are below the one that counts


def measure_step_cost(run: "TrainingRun", alone: Alone) -> StepCost:
    """What a step of ``run`` costs. This trains it: give a copy.

    Args:
        run: at the point whose steps are meant.
        alone: makes a context in which the device has nothing else to do; entered for the timings
            alone, a second or two, and not for what comes before them.
    """
    run.network.train()
    mini_batches = _held_mini_batches(run)

    def take(count: int, weighted: bool) -> None:
        for index, rows in itertools.islice(mini_batches, count):
            run._step(index, rows(), weighted)

    count = _AT_ONCE_ON_CUDA if run.device.type == "cuda" else 1
    plain, own = partial(take, count, False), partial(take, count, True)
    if _steps_are_plain(run.method):
        own = plain
    for steps in (plain, own):
        for _ in range(_UNMEASURED):
            steps()
    with alone():
        cost = compare(plain, own, run._work_clock, run.peers.agreed)
    return StepCost(cost.plain_s / count, cost.ratio)


def compare(
    plain: Callable[[], object],
    own: Callable[[], object],
    now: Callable[[], float],
    agreed: Callable[[bool], bool] = bool,
) -> StepCost:
    """Time both in turns: at least 8 times, then until there are 60 pairs or 1.5 s have passed.

    Args:
        plain: takes plain steps.
        own: takes as many steps of the configuration; ``plain`` itself where there is no other.
        now: seconds, read after everything begun on the device is done.
        agreed: makes one decision of several peers', whose clocks differ.

    Returns:
        The cost of a call.
    """
    start = now()
    pairs: list[tuple[float, float]] = []
    while len(pairs) < _LEAST or (len(pairs) < _MOST and agreed(now() - start < _SECONDS)):
        if own is plain:
            pairs.append((_seconds(plain, now),) * 2)
        elif len(pairs) % 2:  # each goes first as often
            of_own = _seconds(own, now)
            pairs.append((_seconds(plain, now), of_own))
        else:
            pairs.append((_seconds(plain, now), _seconds(own, now)))
    of_plain = sorted(pair[0] for pair in pairs)
    ratio = median(own_s / plain_s for plain_s, own_s in pairs)
    return StepCost(of_plain[int(_LOW * len(pairs))], ratio)


def _seconds(call: Callable[[], object], now: Callable[[], float]) -> float:
    start = now()
    call()
    return now() - start


def _steps_are_plain(method: Method) -> bool:
    kind = type(method)
    return kind.weigh is Method.weigh and kind.loss is Method.loss


def _held_mini_batches(run: "TrainingRun") -> Iterator[tuple[Tensor, Callable[[], Split]]]:
    """A few mini-batches without end: their row numbers, and what gathers this process's share.

    From memory: reading from files goes on beside the steps, and is no part of them.
    """
    rows, size, order = run.method.rows, run.config.batch_size, run._epoch_order()
    order = order[: size * max(1, min(_HELD, len(order) // size))]
    shares = [index[run.peers.share(len(index))] for index in order.split(size)]
    held = loaded(rows.take(torch.cat(shares).to(rows.labels.device)))
    places = torch.arange(len(held), device=run.device).split([len(share) for share in shares])
    gathers = [partial(held.take, place) for place in places]
    return itertools.cycle(zip(order.to(run.device).split(size), gathers, strict=True))
