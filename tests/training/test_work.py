"""What a run costs: counted, measured without a trace in the run, and kept when it resumes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.tasks import TASKS, Data
from adiw_tune.tasks.streamed import stream
from adiw_tune.training import StepCost, TrainingRun, TrialConfig, peak_memory_bytes
from adiw_tune.training.calibration import compare

from . import small
from .conftest import MakeRun
from .test_loop import numbers, same_state

KINDS: list[dict[str, Any]] = [
    {"method": "erm"},
    {"warm_start": "memory"},
    {"divergence": "auto", "network": "batch-norm"},
    {"method": "giw", "warmup_epochs": 1, "network": "dropout"},
    {"method": "static", "warmup_epochs": 1},
    {"method": "l2rw"},
    {"method": "diw-published", "warmup_epochs": 1},
]
COST = StepCost(plain_s=0.5, ratio=3.0)


class Turns:
    """Counts how often somebody was alone."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.count += 1
        yield


@pytest.mark.parametrize("values", KINDS, ids=str)
def test_measuring_changes_no_number_of_the_run(values: dict[str, Any], small_run: MakeRun) -> None:
    values = {"steps": 2, **values}  # quicker ones are measured sooner
    plain = small_run(augment=small.jitter, **values)
    expected = numbers(plain)
    measured = small_run(augment=small.jitter, **values)
    measured.calibrate()
    assert numbers(measured) == expected
    assert same_state(measured, plain)

    late = small_run(augment=small.jitter, **values)
    first = late.run_epoch()
    late.calibrate()  # from there on, with what Adam, memories and streams hold by then
    assert [
        (first.epoch, first.metrics["accuracy"], first.loss, first.shares),
        *numbers(late),
    ] == expected
    assert same_state(late, plain)


def test_work_is_steps_times_what_they_cost(small_run: MakeRun) -> None:
    run = small_run(warmup_epochs=1, epochs=3)
    run = TrainingRun(run.config, step_cost=COST, splits=run.splits)
    assert len(run.splits.train) == 123  # 4 mini-batches of 32 at most
    assert run.work_s == 0
    assert [run.run_epoch().work_s for _ in range(3)] == [4 * 0.5, 16 * 0.5, 28 * 0.5]
    run.report()
    run.metrics(run.splits.test)
    assert run.work_s == 28 * 0.5


def test_what_a_method_does_once_is_work_too(small_run: MakeRun) -> None:
    run = small_run(method="static")
    run = TrainingRun(run.config, step_cost=StepCost(0.0, 1.0), splits=run.splits)
    once = run.run_epoch().work_s
    assert once is not None
    assert once > 0
    assert run.run_epoch().work_s == once


def test_a_run_that_was_not_calibrated_tells_no_work(small_run: MakeRun) -> None:
    run = small_run()
    report = run.run_epoch()
    assert report.work_s is run.work_s is run.step_cost is None
    assert report.as_dict()["work_s"] is None


@pytest.mark.parametrize("method", ["erm", "clean-only"])
def test_a_step_without_weights_is_a_plain_one(method: str, small_run: MakeRun) -> None:
    cost = small_run(method=method).calibrate()
    assert cost.plain_s > 0
    assert cost.ratio == 1


def test_a_step_with_weights_costs_more_the_more_it_does(small_run: MakeRun) -> None:
    few, many = (small_run(steps=steps).calibrate().ratio for steps in (1, 60))
    assert 1 < few < many / 3


def test_what_another_device_measures_is_told_in_seconds_of_the_first() -> None:
    first = StepCost(0.002, 1.5)  # 2 ms and 1 ms for weights
    second = StepCost(0.008, 1.25)  # a quarter as fast, in weights half as fast
    speeds = second.speeds(first)
    assert speeds == (0.25, 0.5)
    told = second.told_with(*speeds)
    assert (told.plain_s, told.ratio) == (first.plain_s, first.ratio)
    other = StepCost(0.004, 2.0).told_with(*speeds)  # 4 ms and 4 ms there: 1 ms and 2 ms here
    assert (other.plain_s, other.ratio) == (0.001, 3.0)


@pytest.mark.parametrize("ratios", [(1.0, 1.0), (1.5, 1.0), (0.99, 2.0)])
def test_a_step_that_takes_no_more_than_a_plain_one_tells_of_those_alone(
    ratios: tuple[float, float],
) -> None:
    there, here = StepCost(0.002, ratios[0]), StepCost(0.004, ratios[1])
    assert here.speeds(there) == (0.5, None)
    assert StepCost(0.004, 2.0).told_with(0.5, None).ratio == 2.0


def test_what_reference_rows_cost_in_the_warm_up_is_told_with_the_same_speeds() -> None:
    told = StepCost(1.0, 1.5, warm_up_ratio=1.5).told_with(0.5, 2.0)
    assert told.warm_up_ratio == told.ratio == 3.0


def test_a_cost_measured_anew_is_told_with_the_same_speeds(small_run: MakeRun) -> None:
    run = small_run(method="static", warmup_epochs=1)
    before = run.calibrate(speeds=(2.0, 100.0))
    assert (before.speed, before.extra_speed) == (2.0, 100.0)
    for _ in range(2):
        run.run_epoch()
    after = run.step_cost
    assert after is not None
    assert (after.plain_s, after.speed, after.extra_speed) == (before.plain_s, 2.0, 100.0)


def test_a_cost_that_is_known_is_not_measured(small_run: MakeRun) -> None:
    run = small_run()
    turns = Turns()
    known = TrainingRun(run.config, step_cost=COST, splits=run.splits)
    assert known.calibrate(turns.alone) is known.step_cost is COST
    assert turns.count == 0
    cost = run.calibrate(turns.alone)
    assert run.calibrate(turns.alone) is run.step_cost is cost
    assert turns.count == 1


@pytest.mark.parametrize("method", ["giw", "static"])
def test_the_ratio_is_measured_anew_after_what_decides_the_later_steps(
    method: str, small_run: MakeRun
) -> None:
    run = small_run(method=method, warmup_epochs=1)
    turns = Turns()
    before = run.calibrate(turns.alone)
    run.run_epoch()
    assert run.step_cost == before
    run.run_epoch()
    after = run.step_cost
    assert after is not None
    assert after.plain_s == before.plain_s
    assert after.ratio != before.ratio
    assert turns.count == 2
    run.run_epoch()
    assert run.step_cost == after


def test_a_resumed_run_is_not_measured_anew(tmp_path: Path, small_run: MakeRun) -> None:
    run = small_run(warmup_epochs=1, method="static")
    run.calibrate()
    for _ in range(2):
        run.run_epoch()
    torch.save(run.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for resumed in (
        TrainingRun(run.config, splits=run.splits),
        TrainingRun(run.config, step_cost=COST, splits=run.splits),
    ):
        resumed.load_state_dict(state)
        turns = Turns()
        assert resumed.calibrate(turns.alone) == run.step_cost
        assert turns.count == 0
        assert resumed.work_s == run.work_s
        assert resumed.report() == run.report()


@pytest.mark.parametrize("method", ["giw", "static"])
def test_what_a_method_does_once_is_told_by_the_device_that_does_it(
    method: str, small_run: MakeRun
) -> None:
    run = small_run(method=method, warmup_epochs=1)
    run.calibrate(speeds=(2.0, 3.0))
    run.run_epoch()
    between = small_run(method=method, warmup_epochs=1)
    between.load_state_dict(run.state_dict())
    there, here = run.step_cost, between.calibrate(speeds=(0.5, 0.25))
    assert there is not None
    assert here == replace(there, speed=0.5, extra_speed=0.25)
    assert between.work_s == run.work_s
    assert between.calibrate() is here
    between.run_epoch()

    last = small_run(method=method, warmup_epochs=1)
    last.load_state_dict(between.state_dict())
    assert last.calibrate(speeds=(1.0, 1.0)) == between.step_cost
    assert (last.work_s, last.calibrate().speed) == (between.work_s, 0.5)


def test_a_state_without_a_cost_leaves_the_one_that_is_known(small_run: MakeRun) -> None:
    run = small_run()
    run.run_epoch()
    resumed = TrainingRun(run.config, step_cost=COST, splits=run.splits)
    resumed.load_state_dict(run.state_dict())
    assert resumed.step_cost == COST
    assert resumed.work_s == 4 * 0.5 * 3


def test_waiting_between_mini_batches_is_no_time_of_training(small_run: MakeRun) -> None:
    run = small_run()
    waits = []

    def wait() -> float:
        start = time.perf_counter()
        time.sleep(0.05)
        waits.append(time.perf_counter() - start)
        return waits[-1]

    start = time.perf_counter()
    report = run.run_epoch(between=wait)
    elapsed = time.perf_counter() - start
    assert len(waits) == 4
    assert 0 < report.train_seconds < elapsed - sum(waits)


def test_measuring_after_the_warm_up_is_no_time_of_training(small_run: MakeRun) -> None:
    run = small_run(method="static")
    waits = []

    @contextmanager
    def slowly_alone() -> Iterator[None]:
        time.sleep(0.3)
        waits.append(0.3)
        yield

    run.calibrate(slowly_alone)
    start = time.perf_counter()
    report = run.run_epoch()
    assert len(waits) == 2
    assert 0 < report.train_seconds < time.perf_counter() - start - 0.3


def test_rows_read_by_processes_are_held_before_their_steps_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "1")
    rows = small.rows(203, seed=0)
    items = list(zip(rows.inputs, rows.labels, strict=True))
    streamed = stream(items, rows.labels)  # type: ignore[arg-type]
    task = replace(small.task(), load=lambda data_dir: Data(streamed, streamed, small.CLASSES))
    monkeypatch.setitem(TASKS, "small", task)
    run = TrainingRun(TrialConfig(task="small", batch_size=32, warmup_epochs=0, epochs=1))
    reading = []

    @contextmanager
    def alone() -> Iterator[None]:
        reading.append(len(multiprocessing.active_children()))
        yield

    assert run.calibrate(alone).ratio > 1
    assert reading == [0]
    assert multiprocessing.active_children() == []


class Machine:
    """A clock that steps set forward, by what the machine makes of them."""

    def __init__(self, slowdown: Callable[[int], float]) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._slowdown = slowdown

    def step(self, seconds: float) -> Callable[[], None]:
        def take() -> None:
            self.calls += 1
            self.seconds += seconds * self._slowdown(self.calls)

        return take

    def now(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    "slowdown",
    [
        lambda call: 1.0,
        lambda call: 20.0 if call % 5 == 0 else 1.0,  # something else has its turn
        lambda call: 1.0 if call < 50 else 2.0,  # the clock rate falls to a half
    ],
    ids=["calm", "interrupted", "slower later"],
)
def test_what_else_the_machine_does_is_not_in_the_cost(slowdown: Callable[[int], float]) -> None:
    machine = Machine(slowdown)
    steps = [machine.step(seconds) for seconds in (0.002, 0.003, 0.005)]
    plain_s, ratios = compare(steps, machine.now)
    assert plain_s == pytest.approx(0.002)
    assert ratios == pytest.approx([1, 1.5, 2.5])


@pytest.mark.parametrize(
    ("seconds", "pairs"), [(0.001, 60), (0.05, 10), (10.0, 8)], ids=["quick", "slow", "very slow"]
)
def test_measuring_takes_as_many_pairs_as_there_is_time_for(seconds: float, pairs: int) -> None:
    machine = Machine(lambda call: 1.0)
    compare([machine.step(seconds), machine.step(2 * seconds)], machine.now)
    assert machine.calls == 2 * pairs


def test_a_plain_step_is_compared_with_none() -> None:
    machine = Machine(lambda call: 1 + call % 3)
    step = machine.step(0.001)
    assert compare([step], machine.now) == (pytest.approx(0.001), [1.0])
    assert machine.calls == 60


def test_a_cost_comes_back_from_its_record() -> None:
    assert StepCost(**COST.as_dict()) == COST


def test_peak_memory_is_in_bytes_of_this_process() -> None:
    held = torch.ones(2**26, dtype=torch.uint8)  # 64 MiB, and torch itself has more
    peak = peak_memory_bytes(held.device)
    assert peak is not None
    assert 2**26 < peak < 2**40
