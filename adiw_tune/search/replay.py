"""What cutting trials saves, told from trials that were recorded in full: a search run again.

The recorded trials come in a random order to workers on a simulated clock, and after each epoch a
policy says whether the trial goes on. Nothing is trained, so that a replay takes seconds.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from rich.table import Table

from adiw_tune.decide import hypervolume, pareto_front
from adiw_tune.errors import UserError
from adiw_tune.search.courses import Course
from adiw_tune.search.rungs import Rungs

SEEDS = 20
WORKERS = 4
ENOUGH = 0.95  # of the whole table's hypervolume

Policy = Callable[[Course, int], bool]  # whether a trial goes on after an epoch


def no_stopping() -> Policy:
    """Every trial runs its full course: random search."""
    return lambda course, epoch: True


def stock_asha() -> Policy:
    """Ray's own ASHAScheduler on accuracy, with its own defaults."""
    scheduler: Any = ASHAScheduler(time_attr="epoch", metric="accuracy", mode="max")
    trials: dict[str, Any] = {}

    def goes_on(course: Course, epoch: int) -> bool:
        if course.trial not in trials:
            trials[course.trial] = SimpleNamespace(trial_id=course.trial)
            scheduler.on_trial_add(None, trials[course.trial])
        result = {"epoch": epoch, "accuracy": course.accuracy[epoch - 1]}
        answer = scheduler.on_trial_result(None, trials[course.trial], result)
        return bool(answer == TrialScheduler.CONTINUE)

    return goes_on


def pareto_rungs() -> Policy:
    """That of a search: :class:`adiw_tune.search.rungs.Rungs`."""
    rungs = Rungs()

    def goes_on(course: Course, epoch: int) -> bool:
        reached = (course.accuracy[epoch - 1], course.work_s[epoch - 1])
        return rungs.report(course.trial, course.divergence, epoch, course.epochs, *reached)

    return goes_on


RANDOM_SEARCH = "random search"
POLICIES = {
    RANDOM_SEARCH: no_stopping,
    "ASHA on accuracy": stock_asha,
    "adiw-tune": pareto_rungs,
}


def replay(
    courses: list[Course], seeds: int = SEEDS, workers: int = WORKERS, trials: int | None = None
) -> pd.DataFrame:
    """Run the search again by each policy, in ``seeds`` orders of the trials.

    Only trials that ran their full course count for the hypervolume. Its reference is the nadir of
    the whole table's front (its lowest accuracy, its most work), moved out by a tenth of the
    front's extent, so that its ends count too. With the worst trial for a reference instead,
    almost any few trials would reach almost all of the hypervolume.

    Args:
        courses: of the recorded trials.
        seeds: how many orders: 0, 1, ... seed them.
        workers: trials at once.
        trials: of a search, which are the first in each order; None for all. They are then the
            table that is meant.

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
        reference = _reference(order)
        whole = (sum(course.work_s[-1] for course in order), hypervolume(_ends(order), reference))
        shares = {
            policy: _curve(_simulated(order, make(), workers), reference) / whole
            for policy, make in POLICIES.items()
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


def _reference(courses: list[Course]) -> tuple[float, float]:
    front = pareto_front(_ends(courses))
    accuracy, work_s = front["accuracy"], front["work_s"]
    if accuracy.max() == accuracy.min():
        raise UserError(
            "one trial beats all others in accuracy and in work, so there is no front to reach"
        )
    return (
        accuracy.min() - 0.1 * (accuracy.max() - accuracy.min()),
        work_s.max() + 0.1 * (work_s.max() - work_s.min()),
    )


def _ends(courses: list[Course]) -> pd.DataFrame:
    return pd.DataFrame(
        [(course.trial, course.accuracy[-1], course.work_s[-1], "finished") for course in courses],
        columns=["number", "accuracy", "work_s", "status"],
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


def _curve(
    moments: Iterable[tuple[float, Course | None]], reference: tuple[float, float]
) -> np.ndarray:
    """Seconds spent and hypervolume so far [moments, 2]."""
    front: list[Course] = []
    volume, curve = 0.0, []
    for spent, finished in moments:
        if finished is not None and not any(_covers(other, finished) for other in front):
            front = [finished, *(other for other in front if not _covers(finished, other))]
            volume = hypervolume(_ends(front), reference)
        curve.append((spent, volume))
    return np.array(curve)


def _covers(one: Course, other: Course) -> bool:
    return one.accuracy[-1] >= other.accuracy[-1] and one.work_s[-1] <= other.work_s[-1]


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
