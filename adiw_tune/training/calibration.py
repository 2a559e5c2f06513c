"""Measuring what a step costs: plain steps and the configuration's own, in turns."""

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from adiw_tune.training.preparation import held_mini_batches, steps_are_plain
from adiw_tune.training.work import StepCost

if TYPE_CHECKING:
    from adiw_tune.training.loop import TrainingRun

Alone = Callable[[], AbstractContextManager[object]]

_HELD = 8  # mini-batches that the steps go through, over and over
_HELD = 8  # mini-batches that the steps go through, over and over
_UNMEASURED = 5  # steps of each kind first: memory is allocated, losses spread out
_AT_ONCE_ON_CUDA = 8  # steps timed together: to wait for each would time the waiting
_LEAST, _MOST = 8, 60  # pairs of timings
_SECONDS = 1.5  # after which no pair begins, once there are enough
_LOW = 0.2  # share of the plain timings that are below the one that counts


def measure_step_cost(run: "TrainingRun", alone: Alone) -> StepCost:
    """What a step of ``run`` costs. This trains it: the caller takes that back.

    Args:
        run: at the point whose steps are meant, see :func:`adiw_tune.training.preparation.prepare`.
        alone: makes a context in which the device has nothing else to do; entered for the timings
            alone, a second or two, and not for what comes before them.
    """
    run.network.train()
    mini_batches = itertools.cycle(held_mini_batches(run, _HELD))

    def take(count: int, weighted: bool) -> None:
        for index, rows in itertools.islice(mini_batches, count):
            run._step(index, rows(), weighted)

    count = _AT_ONCE_ON_CUDA if run.device.type == "cuda" else 1
    plain, own = partial(take, count, False), partial(take, count, True)
    if steps_are_plain(run.method):
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
