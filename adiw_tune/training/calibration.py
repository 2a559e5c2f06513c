"""Measuring what a step costs: plain steps, the warm-up's and the configuration's own, in turns."""

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from torch import Tensor

from adiw_tune.training.methods import Step
from adiw_tune.training.preparation import held_mini_batches, kinds_of_step
from adiw_tune.training.work import StepCost

if TYPE_CHECKING:
    from adiw_tune.training.loop import TrainingRun

Alone = Callable[[], AbstractContextManager[object]]

_HELD = 8  # mini-batches that the steps go through, over and over
_UNMEASURED = 5  # steps of each kind first: memory is allocated, losses spread out
_AT_ONCE_ON_CUDA = 8  # steps timed together: to wait for each would time the waiting
_LEAST, _MOST = 8, 60  # rounds of timings, one of each kind of step
_SECONDS = 1.5  # after which no round begins, once there are enough
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

    def take(count: int, loss: Callable[[Step], Tensor]) -> None:
        for index, rows in itertools.islice(mini_batches, count):
            run._step(index, rows(), loss)

    count = _AT_ONCE_ON_CUDA if run.device.type == "cuda" else 1
    kinds = [partial(take, count, loss) for loss in kinds_of_step(run.method)]
    for steps in kinds:
        for _ in range(_UNMEASURED):
            steps()
    with alone():
        plain_s, ratios = compare(kinds, run._work_clock, run.peers.agreed)
    warm_up_ratio = ratios[1] if run.method.reference_weight else 1.0
    return StepCost(plain_s / count, ratios[-1], warm_up_ratio=warm_up_ratio)


def compare(
    kinds: Sequence[Callable[[], object]],
    now: Callable[[], float],
    agreed: Callable[[bool], bool] = bool,
) -> tuple[float, list[float]]:
    """Time all kinds in turns: at least 8 rounds, then until there are 60 or 1.5 s have passed.

    Args:
        kinds: take as many steps each; the first takes plain ones.
        now: seconds, read after everything begun on the device is done.
        agreed: makes one decision of several peers', whose clocks differ.

    Returns:
        Seconds of a call of the first, and the ratio of each kind to it, as of :class:`StepCost`.
    """
    start = now()
    rounds: list[list[float]] = []
    while len(rounds) < _LEAST or (len(rounds) < _MOST and agreed(now() - start < _SECONDS)):
        first = len(rounds) % len(kinds)  # each goes first as often
        timed = [_seconds(kind, now) for kind in (*kinds[first:], *kinds[:first])]
        rounds.append(timed[-first:] + timed[:-first] if first else timed)
    of_plain = sorted(seconds[0] for seconds in rounds)
    ratios = [median(some[kind] / some[0] for some in rounds) for kind in range(len(kinds))]
    return of_plain[int(_LOW * len(rounds))], ratios


def _seconds(call: Callable[[], object], now: Callable[[], float]) -> float:
    start = now()
    call()
    return now() - start
