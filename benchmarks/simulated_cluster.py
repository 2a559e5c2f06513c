# ruff: noqa: D102  (the methods are Ray's)
"""Workers that train nothing, on a clock of their own, for the real loop of Ray Tune.

Each trial follows a recorded one of its divergence. What the driver takes is real: the CPU seconds
of its main thread, and what it waits for the disk, advance the clock, and reports wait meanwhile.
"""

import heapq
import itertools
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.air.execution._internal import TrackedActor
from ray.train._internal.checkpoint_manager import _TrainingResult

from adiw_tune.search.courses import Course

ACTOR_S = 8.0  # until the process of a new trial is there, which imports torch
RESET_S = 0.05  # until one that another trial has left is ready
SETUP_S = 3.0  # rows, network, and what a step costs
CHECKPOINT_S = 5.0  # between two checkpoints of a run, at least


# Of an actor; Tune asks each that starts for its address and the like.
_HANDLE = SimpleNamespace(get_auto_filled_metrics=SimpleNamespace(remote=lambda **about: {}))


class Enough(BaseException):
    """The simulation has seen what it is to see."""


class Clock:
    """The simulated seconds, advanced by what the driver really takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0.0
        self._waited = 0.0  # for the disk
        self.begin()

    def begin(self) -> None:
        """What was until now does not count."""
        self._mark = self.used()

    def used(self) -> float:
        """Seconds of this thread, and of its waiting for the disk."""
        return time.thread_time() + self._waited

    def charge(self, extra: float = 0.0) -> None:
        """The driver was busy since the last time, and ``extra`` more."""
        spent = self.used() - self._mark + extra
        self.now += spent
        self.busy += spent
        self._mark = self.used()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The body is what a worker does, and costs the driver nothing."""
        self.charge()
        yield
        self._mark = self.used()

    def fsync(self, file: int, real: Callable[[int], None] = os.fsync) -> None:
        """As the system's, but what is waited for counts."""
        start, used = time.perf_counter(), time.thread_time()
        real(file)
        self._waited += time.perf_counter() - start - (time.thread_time() - used)


@dataclass
class Worker:
    """A trial's process: what it is in, and the reports that it has still to give."""

    reports: Iterator[tuple[float, dict[str, Any]]]
    saved: _TrainingResult | None = None


@dataclass
class Cluster:
    """In place of Ray Tune's RayActorManager: the same calls, answered by simulated workers."""

    clock: Clock
    store: Path  # of checkpoints
    enough: Callable[[], bool]
    ray_s: Callable[[int], float]  # seconds of the driver for an answer among so many awaited
    start_s: float  # the same for a new process
    courses: dict[str, list[Course]]
    stretch: float
    live: dict[TrackedActor, tuple[Any, None]] = field(default_factory=dict)
    unwanted: set[TrackedActor] = field(default_factory=set)  # before they started
    workers: dict[TrackedActor, Worker] = field(default_factory=dict)
    events: list[tuple[float, int, TrackedActor, Callable[[], None]]] = field(default_factory=list)
    count: Iterator[int] = field(default_factory=itertools.count)
    answers: int = 0
    ray_total: float = 0.0  # seconds of Ray's in them
    training: list[tuple[float, float]] = field(default_factory=list)  # epochs: from when, seconds

    def __call__(self, resource_manager: Any) -> "Cluster":
        return self

    @property
    def _live_actors_to_ray_actors_resources(self) -> Any:
        return self.live

    @property
    def num_live_actors(self) -> int:
        return len(self.live)

    @property
    def num_pending_actors(self) -> int:
        return 0

    @property
    def num_total_actors(self) -> int:
        return 0

    @property
    def num_actor_tasks(self) -> int:
        return len(self.events)

    def get_live_actors_resources(self) -> dict[str, float]:
        return {}

    def is_actor_started(self, tracked_actor: TrackedActor) -> bool:
        return tracked_actor in self.live

    def is_actor_failed(self, tracked_actor: TrackedActor) -> bool:
        return False

    def clear_actor_task_futures(self, tracked_actor: TrackedActor) -> None:
        pass

    def cleanup(self) -> None:
        self.events.clear()

    def next(self, timeout: float | None = None) -> bool:
        """Go to the next answer, and let the driver take it."""
        self.clock.charge()
        if self.enough():
            raise Enough
        if not self.events:
            return False
        when, _, _, answer = heapq.heappop(self.events)
        self.clock.now = max(self.clock.now, when)
        self.clock.charge(cost := self.ray_s(len(self.events)))
        self.ray_total += cost
        self.answers += 1
        answer()
        return True

    def add_actor(self, cls: Any, resource_request: Any, kwargs: Any, **on: Any) -> TrackedActor:
        actor = TrackedActor(next(self.count), **on)
        self.clock.charge(self.start_s)

        def started() -> None:
            if actor in self.unwanted:  # another trial's process came first
                return
            self.live[actor] = (_HANDLE, None)
            self.workers[actor] = Worker(self._reports(kwargs["config"]))
            on["on_start"](actor)

        self._later(ACTOR_S, actor, started)
        return actor

    def remove_actor(self, tracked_actor: TrackedActor, **how: Any) -> bool:
        if self.live.pop(tracked_actor, None) is None:
            self.unwanted.add(tracked_actor)
            return False
        if tracked_actor._on_stop:
            self._later(0.0, tracked_actor, lambda: tracked_actor._on_stop(tracked_actor))
        return True

    def schedule_actor_task(
        self,
        tracked_actor: TrackedActor,
        method_name: str,
        args: tuple[Any, ...] = (),
        kwargs: Any = None,
        on_result: Any = None,
        **others: Any,
    ) -> Any:
        if method_name == "stop":  # remove_actor follows
            return SimpleNamespace()
        worker = self.workers[tracked_actor]
        with self.clock.stopped():
            takes, answer = 0.002, None
            if method_name == "train":
                takes, answer = next(worker.reports)
                worker.saved = answer.pop("saved", None)
                if answer.get("epoch"):
                    self.training.append((self.clock.now, takes))
            elif method_name == "save":
                answer = worker.saved
            elif method_name == "reset":
                takes, answer = RESET_S, True
                worker.reports = self._reports(args[0])
        if on_result is not None:
            self._later(takes, tracked_actor, lambda: on_result(tracked_actor, answer))
        return SimpleNamespace()

    def _later(self, seconds: float, actor: TrackedActor, answer: Callable[[], None]) -> None:
        entry = (self.clock.now + seconds, next(self.count), actor, answer)
        heapq.heappush(self.events, entry)

    def _reports(self, config: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
        """Of a run: the seconds until each, and what it says."""
        place, settings = config["adiw"], config["config"]
        course = self._course(place["trial"], settings["divergence"], settings["epochs"])
        about = {"config": {"adiw": place, "config": settings}, "done": False}
        about |= {"pid": 1, "hostname": "worker", "node_ip": "192.0.2.1", "time_total_s": 1.0}
        cost = {"plain_s": 0.003, "ratio": 2.0, "speed": 1.0, "extra_speed": 1.0}
        device = {"device": "cpu", "memory_bytes": None, "device_bytes": None}
        setup = {"splits": {}, **cost, **device}
        yield SETUP_S, {**about, "epoch": 0, "training_iteration": 1, **setup}
        work_s = since = 0.0
        for epoch in range(1, settings["epochs"] + 1):
            at = min(epoch, course.epochs)
            seconds = course.seconds(at) * self.stretch
            work_s, since = work_s + seconds, since + seconds
            report = {**about, "epoch": epoch, "training_iteration": epoch + 1, "loss": 1.0}
            report |= {"metrics": {"accuracy": course.values[at - 1]}}
            report |= {"work_s": work_s, "wall_s": work_s}
            report |= {"shares": {}, "unweighed": 0, "time_this_iter_s": seconds}
            if since >= CHECKPOINT_S or epoch == settings["epochs"]:
                since = 0.0
                report |= self._saved(config, epoch, report)
            yield seconds, report
        yield 0.001, {"__duplicate__": True}

    def _saved(self, config: dict[str, Any], epoch: int, report: dict[str, Any]) -> dict[str, Any]:
        folder = self.store / config["adiw"]["trial"] / f"checkpoint_{epoch:06d}"
        folder.mkdir(parents=True)
        (folder / "run.pt").touch()
        result = _TrainingResult(tune.Checkpoint(str(folder)), dict(report))
        return {"should_checkpoint": True, "saved": result}

    def _course(self, trial: str, divergence: str, epochs: int) -> Course:
        of_its_own = self.courses[divergence]
        among = [one for one in of_its_own if one.epochs >= epochs] or of_its_own
        return among[zlib.crc32(trial.encode()) % len(among)]
