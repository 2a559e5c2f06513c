"""What cutting trials saves, told from trials that were recorded in full: a search run again.

The recorded trials come in a random order to workers on a simulated clock, and after each epoch a
policy says whether the trial goes on. Nothing is trained, so that a replay takes seconds.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from rich.table import Table

from adiw_tune.decide import hypervolume, pareto_front
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.search.courses import Course
from adiw_tune.search.rungs import Rungs

SEEDS = 20
WORKERS = 4
ENOUGH = 0.95  # of the whole table's hypervolume

Policy = Callable[[Course, int], bool]  # whether a trial goes on after an epoch


def no_stopping(metric: Metric) -> Policy:
    """Every trial runs its full course: random search."""
    return lambda course, epoch: True


def stock_asha(metric: Metric) -> Policy:
    """Ray's own ASHAScheduler on the metric, with its own defaults."""
    mode = "max" if metric.greater_is_better else "min"
    scheduler: Any = ASHAScheduler(time_attr="epoch", metric=metric.name, mode=mode)
    trials: dict[str, Any] = {}

    def goes_on(course: Course, epoch: int) -> bool:
        if course.trial not in trials:
            trials[course.trial] = SimpleNamespace(trial_id=course.trial)
            scheduler.on_trial_add(None, trials[course.trial])
        result = {"epoch": epoch, metric.name: course.values[epoch - 1]}
        answer = scheduler.on_trial_result(None, trials[course.trial], result)
        return bool(answer == TrialScheduler.CONTINUE)

    return goes_on


def pareto_rungs(metric: Metric) -> Policy:
    """That of a search: :class:`adiw_tune.search.rungs.Rungs`."""
    rungs = Rungs()

    def goes_on(course: Course, epoch: int) -> bool:
        reached = (metric.score(course.values[epoch - 1]), course.work_s[epoch - 1])
        return rungs.report(course.trial, course.divergence, epoch, course.epochs, *reached)

    return goes_on


RANDOM_SEARCH = "random search"


def policies(metric: Metric) -> dict[str, Callable[[], Policy]]:
    """What is compared."""
    return {
        RANDOM_SEARCH: partial(no_stopping, metric),
        f"ASHA on {metric.name}": partial(stock_asha, metric),
        "adiw-tune": partial(pareto_rungs, metric),
    }


def replay(
    courses: list[Course],
    seeds: int = SEEDS,
    workers: int = WORKERS,
    trials: int | None = None,
    metric: Metric = ACCURACY,
) -> pd.DataFrame:
    """Run the search again by each policy, in ``seeds`` orders of the trials.

    Only trials that ran their full course count for the hypervolume. Its reference is the nadir of
    the whole table's front (its worst value, its most work), moved out by a tenth of the
    front's extent, so that its ends count too. With the worst trial for a reference instead,
    almost any few trials would reach almost all of the hypervolume.

    Args:
        courses: of the recorded trials.
        seeds: how many orders: 0, 1, ... seed them.
        workers: trials at once.
        trials: of a search, which are the first in each order; None for all. They are then the
            table that is meant.
        metric: that the courses are of.

    Returns:
        A row for each policy and seed; the columns are shares of the whole table's: ``seconds`` of
        training when all trials have been offered, ``hypervolume`` then, ``random_hypervolume``,
        which random search has after as many seconds, and ``seconds_to_95``, those at which 95% of
        the hypervolume was reached (infinite if never).

    Raises:
        UserError: the front of the trials is a single point, which leaves nothing to compare.
    """
    results = []
    for seed in range(seeds):
        permuted = np.random.default_rng(seed).permutation(len(courses))
        order = [courses[i] for i in permuted[:trials]]
        front = _Front(metric, _reference(order, metric))
        whole = (sum(course.work_s[-1] for course in order), front.volume(order))
        shares = {
            policy: front.curve(_simulated(order, make(), workers)) / whole
            for policy, make in policies(metric).items()
        }
        random = shares[RANDOM_SEARCH]
        results += [
            {"policy": policy, "seed": seed, **_measures(of_policy, random)}
            for policy, of_policy in shares.items()
        ]
    return pd.DataFrame(results)


def _measures(shares: np.ndarray, random: np.ndarray) -> dict[str, float]:
    """From curves of seconds spent and hypervolume, both as shares [moments, 2]."""
    seconds, reached = shares[-1]
    by_then = random[:, 0] <= seconds + 1e-9
    return {
        "seconds": seconds,
        "hypervolume": reached,
        "random_hypervolume": random[by_then, 1].max(initial=0.0),
        "seconds_to_95": shares[shares[:, 1] >= ENOUGH, 0].min(initial=np.inf),
    }


def _reference(courses: list[Course], metric: Metric) -> tuple[float, float]:
    front = pareto_front(_ends(courses, metric), metric)
    score, work_s = metric.score(front[metric.name]), front["work_s"]
    if score.max() == score.min():
        raise UserError(
            f"one trial beats all others in {metric.name} and in work, so there is no front to "
            "reach"
        )
    return (
        metric.score(score.min() - 0.1 * (score.max() - score.min())),
        work_s.max() + 0.1 * (work_s.max() - work_s.min()),
    )


def _ends(courses: list[Course], metric: Metric) -> pd.DataFrame:
    return pd.DataFrame(
        [(course.trial, course.values[-1], course.work_s[-1], "finished") for course in courses],
        columns=["number", metric.name, "work_s", "status"],
    )


def _simulated(
    order: Iterable[Course], goes_on: Policy, workers: int
) -> Iterator[tuple[float, Course | None]]:
    """After each epoch, in order of time: seconds spent by all, and the trial if it finished."""
    waiting = iter(order)
    ends: list[tuple[float, int, Course, int]] = []  # of epochs that run: when, where, which

    def begin(now: float, worker: int) -> None:
        if (course := next(waiting, None)) is not None:
            heapq.heappush(ends, (now + course.seconds(1), worker, course, 1))

    for worker in range(workers):
        begin(0.0, worker)
    spent = 0.0
    while ends:
        now, worker, course, epoch = heapq.heappop(ends)
        spent += course.seconds(epoch)
        more = goes_on(course, epoch) and epoch < course.epochs
        yield spent, course if epoch == course.epochs else None
        if more:
            then = now + course.seconds(epoch + 1)
            heapq.heappush(ends, (then, worker, course, epoch + 1))
        else:
            begin(now, worker)


@dataclass(frozen=True)
class _Front:
    """What trials that ended dominate.

    Args:
        metric: that the courses are of.
        reference: (value, work_s) of the worst corner.
    """

    metric: Metric
    reference: tuple[float, float]

    def volume(self, courses: list[Course]) -> float:
        """The hypervolume."""
        return hypervolume(_ends(courses, self.metric), self.reference, self.metric)

    def curve(self, moments: Iterable[tuple[float, Course | None]]) -> np.ndarray:
        """Seconds spent and hypervolume so far [moments, 2]."""
        front: list[Course] = []
        volume, curve = 0.0, []
        for spent, finished in moments:
            if finished is not None and not any(self._covers(one, finished) for one in front):
                front = [finished, *(one for one in front if not self._covers(finished, one))]
                volume = self.volume(front)
            curve.append((spent, volume))
        return np.array(curve)

    def _covers(self, one: Course, other: Course) -> bool:
        score = self.metric.score
        no_worse = score(one.values[-1]) >= score(other.values[-1])
        return no_worse and one.work_s[-1] <= other.work_s[-1]


def replay_table(results: pd.DataFrame) -> Table:
    """``results`` of :func:`replay` for the terminal: medians, with the 10% and 90% quantiles."""
    table = Table(box=None, title="shares of the whole table; median over seeds (10% to 90%)")
    table.add_column("policy")
    heads = ("seconds", "hypervolume", "random, same seconds", "seconds to 95%")
    for head in heads:
        table.add_column(head, justify="right")
    for policy, of_policy in results.groupby("policy", sort=False):
        columns = of_policy.drop(columns=["policy", "seed"])
        table.add_row(str(policy), *(_quantiles(columns[name]) for name in columns))
    return table


def _quantiles(shares: pd.Series) -> str:
    low, middle, high = (
        "never" if np.isinf(share) else f"{100 * share:.1f}%"
        for share in shares.quantile([0.1, 0.5, 0.9], interpolation="higher")
    )
    return f"{middle} ({low} to {high})"
