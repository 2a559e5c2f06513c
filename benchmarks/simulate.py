"""Where the one driver of a search saturates: simulated up to 1,000 workers.

    python benchmarks/simulate.py run --keep FOLDER  # some 10 minutes; writes simulate.json
    python benchmarks/simulate.py table

Workers are simulated (benchmarks/simulated_cluster.py): each trial follows a recorded one of its
divergence (benchmarks/recorded/digits.jsonl), its seconds stretched so that the median whole trial
takes ``--minutes``. The driver is real: Ray Tune's own loop with this package's searcher, Optuna's
proposals, scheduler, stopper and callback, writing a real log. What Ray takes to wait for one
answer among many, to fetch it and to ask for the next is measured first, on this machine, and added
to each answer. A search has ``--per-worker`` trials for each worker, and is watched until the last
of them has begun, or until the driver has been busy for ``--at-most`` seconds.

``utilisation`` is the share of the workers' time in which they train, ``driver`` that of the
driver's time in which it works: where that comes to 1, the workers wait for it.
"""

import argparse
import json
import logging
import os
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import ray
from provenance import commit, machine
from ray.tune.execution import tune_controller
from ray.util.placement_group import placement_group, remove_placement_group
from simulated_cluster import Clock, Cluster, Enough

import adiw_tune.record.log
import adiw_tune.search.programme
from adiw_tune.record.log import EventLog
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.courses import Course, read_courses
from adiw_tune.search.on_ray import connection, tuning
from adiw_tune.search.on_ray.events import EventCallback
from adiw_tune.search.on_ray.scheduler import ParetoScheduler
from adiw_tune.search.on_ray.searcher import BudgetStopper, ProgrammeSearcher
from adiw_tune.search.programme import Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile

HERE = Path(__file__).parent
RESULTS = Path(__file__).with_suffix(".json")
SPACE = HERE.parent / "search_spaces" / "digits.py"
AWAITED = (0, 10, 100, 300, 1000)  # answers at once, at which Ray is measured
REPEATS = 30
PARTS: dict[str, tuple[type, str]] = {
    "searcher": (ProgrammeSearcher, "suggest"),
    "proposals (in searcher)": (Proposer, "propose"),
    "scheduler": (ParetoScheduler, "on_trial_result"),
    "stopper": (BudgetStopper, "__call__"),
    "callback: result": (EventCallback, "on_trial_result"),
    "callback: checkpoint": (EventCallback, "on_checkpoint"),
    "callback: end": (EventCallback, "on_trial_complete"),
    "log (in callback and others)": (EventLog, "append"),
    "Tune's snapshots": (tune_controller.TuneController, "checkpoint"),
}


def settings(workers: int, trials: int) -> SearchSettings:
    return SearchSettings(
        name=f"workers-{workers}", search_id="0", trials=trials, seed=0, concurrency=workers,
        cpus_per_trial=1, gpus_per_trial=0.0, workers_per_trial=1, devices=1, checkpoints=None,
        policy="best-under=1000", seeds=0, early_stopping=True, patience=None, budget="9999h",
        price=None, folder=HERE, folds=1, tracking_uri="", data_dir=None, address=None, version="0",
    )  # fmt: skip


def simulated(workers: int, trials: int, stretch: float, at_most: float, folder: Path) -> Any:
    """The search until its last trial has begun, and what it took."""
    asked = settings(workers, trials)
    record = SearchRecord.create(folder, asked, SPACE)
    space = SpaceFile(record.space_path, asked.seed, asked.folder, asked.folds)
    programme = Programme(asked, Proposer(space, asked.seed, trials))
    clock = Clock()
    begun = 0

    def enough() -> bool:
        return begun == trials or clock.busy > at_most

    cluster = Cluster(
        clock, record.folder / "ray" / "0", enough, *ray_costs(), by_divergence(), stretch
    )
    with virtual(clock), timed(clock) as parts:
        record.log.append("session", packages={}, code="", commit=None, python="", machine="")
        give = ProgrammeSearcher.suggest

        def counted(self: Any, trial_id: str) -> Any:
            nonlocal begun
            given = give(self, trial_id)
            begun += isinstance(given, dict)
            return given

        ProgrammeSearcher.suggest = counted
        tune_controller.RayActorManager = cluster
        clock.begin()
        with suppress(Enough):
            tuning._make_tuner(record, programme).fit()
    events = sum(1 for _ in record.log)
    trained = sum(min(seconds, clock.now - start) for start, seconds in cluster.training)
    return {
        "workers": workers,
        "trials": begun,
        "of": trials,
        "seconds": clock.now,
        "utilisation": trained / (workers * clock.now),
        "driver": clock.busy / clock.now,
        "answers per second": cluster.answers / clock.now,
        "ms per answer": 1000 * clock.busy / cluster.answers,
        "answers per second at most": cluster.answers / clock.busy,
        "events per second": events / clock.now,
        "of which Ray, ms per answer": 1000 * cluster.ray_total / cluster.answers,
        "parts, ms per answer": {n: 1000 * s / cluster.answers for n, s in parts.items()},
    }


@contextmanager
def virtual(clock: Clock) -> Iterator[None]:
    """What asks for the time is given the clock's, and what the disk takes is counted."""
    adiw_tune.record.log.time = adiw_tune.search.programme.time = lambda: clock.now
    real = os.fsync
    os.fsync = clock.fsync
    try:
        yield
    finally:
        os.fsync = real
        adiw_tune.record.log.time = adiw_tune.search.programme.time = time.time


@contextmanager
def timed(clock: Clock) -> Iterator[dict[str, float]]:
    """Seconds that the parts of the driver take, those within them included."""
    seconds: dict[str, float] = defaultdict(float)
    real = {name: getattr(*where) for name, where in PARTS.items()}

    def watched(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = clock.used()
            try:
                return real[name](*args, **kwargs)
            finally:
                seconds[name] += clock.used() - start

        return call

    for name, (kind, method) in PARTS.items():
        setattr(kind, method, watched(name))
    try:
        yield seconds
    finally:
        for name, (kind, method) in PARTS.items():
            setattr(kind, method, real[name])


def by_divergence() -> dict[str, list[Course]]:
    found: dict[str, list[Course]] = defaultdict(list)
    for course in read_courses(HERE / "recorded" / "digits.jsonl"):
        found[course.divergence].append(course)
    return found


@ray.remote(num_cpus=0)
class Answering:
    """A worker that answers at once, or not at all."""

    def report(self) -> dict[str, Any]:
        """As a trial does."""
        return {"epoch": 1, "metrics": {"accuracy": 0.9}, "config": {"adiw": {}, "config": {}}}

    def sleep(self) -> None:
        """For longer than anybody waits."""
        time.sleep(3600)


_COSTS: list[Any] = []


def ray_costs() -> list[Any]:
    """Seconds of Ray for an answer among so many that are awaited, and for a new process."""
    if _COSTS:
        return _COSTS
    asleep, awake = Answering.remote(), Answering.remote()
    waiting = [asleep.sleep.remote() for _ in range(AWAITED[-1])]
    ray.get(awake.report.remote())
    measured = []
    for awaited in AWAITED:
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            future = awake.report.remote()
            asking = time.perf_counter() - start
            ray.wait([future])
            start = time.perf_counter()
            among = [*waiting[:awaited], future]
            random.shuffle(among)
            ray.wait(among, num_returns=1)
            ray.get(future)
            seconds.append(asking + time.perf_counter() - start)
        measured.append(median(seconds))
    ray.kill(asleep)
    ray.kill(awake)
    _COSTS[:] = [lambda n: float(np.interp(n, AWAITED, measured)), _start_s()]
    return _COSTS


def _start_s() -> float:
    """Seconds to ask for resources and for a process on them."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        group = placement_group([{"CPU": 0.001}])
        ray.wait([group.ready()])
        actor = Answering.remote()
        seconds.append(time.perf_counter() - start)
        ray.kill(actor)
        remove_placement_group(group)
    return median(seconds)


def run(
    workers: list[int],
    per_worker: int,
    minutes: float,
    at_most: float,
    keep: Path | None,
    results: Path,
) -> None:
    whole = [one.work_s[-1] for courses in by_divergence().values() for one in courses]
    stretch = 60 * minutes / median(whole)
    for name, value in connection.ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    folder = keep or Path(tempfile.mkdtemp())
    found = []
    try:
        for many in workers:
            trials = max(20, per_worker * many)
            found.append(simulated(many, trials, stretch, at_most, folder))
            print(json.dumps(found[-1], indent=1), flush=True)
    finally:
        if keep is None:
            shutil.rmtree(folder)
    cost = ray_costs()[0]
    about = {"commit": commit(), "machine": machine(), "minutes": minutes}
    about |= {"Ray, ms": {n: 1000 * cost(n) for n in AWAITED}, "at most, s": at_most}
    results.write_text(json.dumps({**about, "searches": found}, indent=1) + "\n")


def table(results: Path) -> None:
    found = json.loads(results.read_text())
    print("| workers | utilisation | driver | ms per answer | answers/s, at most |")
    print("|---|---|---|---|---|")
    for one in found["searches"]:
        print(
            f"| {one['workers']} | {100 * one['utilisation']:.0f}% | {100 * one['driver']:.0f}% "
            f"| {one['ms per answer']:.1f} | {one['answers per second']:.1f}, "
            f"{one['answers per second at most']:.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 10, 100, 300, 1000])
    parser.add_argument("--per-worker", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--at-most", type=float, default=500.0)
    parser.add_argument("--keep", type=Path, help="where the searches stay, for delivery.py")
    asked = parser.parse_args()
    if asked.what == "run":
        run(
            asked.workers,
            asked.per_worker,
            asked.minutes,
            asked.at_most,
            asked.keep,
            asked.results,
        )
    else:
        table(asked.results)
