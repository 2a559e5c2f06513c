"""What comes before a run's time of training, leaves no trace in it, and is done once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adiw_tune.training import StepCost, TrainingRun, loop

from . import small
from .conftest import MakeRun
from .test_loop import numbers, same_state


class Clock:
    """Goes forward by a second with each step, and by what a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=made.now, process_time=made.now))
    step = TrainingRun._step

    def timed(*arguments: Any) -> Tensor:
        made.pass_by(1)
        return step(*arguments)

    monkeypatch.setattr(TrainingRun, "_step", timed)
    return made


class Compiler:
    """In place of ``torch.compile``, which takes a minute: 100 s of the clock for each new size."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.compiled = 0
        self.sizes: set[int] = set()

    def compile(self, function: Callable[..., Tensor], **_: Any) -> Callable[..., Tensor]:
        self.compiled += 1

        def run(source: Tensor, target: Tensor, start: Tensor) -> Tensor:
            size = start.shape[-1]
            self.clock.pass_by(1 if size in self.sizes else 100)
            self.sizes.add(size)
            return function(source, target, start)

        return run


@pytest.fixture
def compiler(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    made = Compiler(clock)
    monkeypatch.setattr(torch, "compile", made.compile)
    return made


COMPILED: list[dict[str, Any]] = [
    {},
    {"divergence": "auto", "network": "dropout"},
    {"method": "giw", "warmup_epochs": 1},
]


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("values", COMPILED, ids=str)
def test_a_run_compiles_once_for_all_its_sizes_and_not_in_its_time_of_training(
    values: dict[str, Any], calibrated: bool, small_run: MakeRun, clock: Clock, compiler: Compiler
) -> None:
    plain = small_run(small.jitter, **values)
    expected = numbers(plain)
    assert compiler.compiled == 0

    run = small_run(small.jitter, **values, compiled=True)
    assert len(run.splits.train) == 123  # the last of the mini-batches of 32 has 27 rows
    if calibrated:
        run.calibrate()
        assert compiler.sizes == {32, 27}
    assert numbers(run) == expected
    assert same_state(run, plain)
    assert compiler.compiled == 1
    assert run.train_seconds == 4 * (3 + 3 - run.config.warmup_epochs)


def test_a_run_whose_cost_is_known_is_compiled_before_it_begins(
    small_run: MakeRun, compiler: Compiler
) -> None:
    run = small_run(compiled=True)
    run = TrainingRun(run.config, step_cost=StepCost(0.5, 3.0), splits=run.splits)
    run.calibrate()
    assert compiler.sizes == {32, 27}


def test_measuring_takes_no_second_network_and_leaves_no_gradients(
    small_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run()
    monkeypatch.setattr(loop, "find_task", None)  # by which one would be made
    assert run.calibrate().ratio > 1
    assert all(value.grad is None for value in run.network.parameters())


def test_a_run_that_could_not_be_measured_is_where_it_was(small_run: MakeRun) -> None:
    whole, run = small_run(), small_run()
    whole.run_epoch()
    run.run_epoch()

    @contextmanager
    def never() -> Iterator[None]:
        raise RuntimeError("out of memory")
        yield

    with pytest.raises(RuntimeError, match="out of memory"):
        run.calibrate(never)
    whole.train_seconds = run.train_seconds
    assert same_state(run, whole)
    assert numbers(run) == numbers(whole)


def test_what_is_waited_for_in_a_pause_is_training_but_for_the_wait(
    small_run: MakeRun, clock: Clock
) -> None:
    def pause() -> float:
        clock.pass_by(5)  # until this run's own steps are done
        clock.pass_by(7)
        return 7

    assert small_run().run_epoch(pause).train_seconds == 4 * (1 + 5)


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
def test_where_wall_time_tells_what_a_method_does_once_is_done_alone(
    small_run: MakeRun, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run(method="static", warmup_epochs=1)
    run = TrainingRun(run.config, step_cost=StepCost(1.0, 1.0), splits=run.splits)
    begin = run.method.begin
    turns = []

    def slow_begin(learner: Any) -> None:
        clock.pass_by(10)
        begin(learner)

    @contextmanager
    def alone() -> Iterator[None]:
        clock.pass_by(300)  # until all others have stopped
        turns.append(clock.seconds)
        yield
        clock.pass_by(500)  # until one may go on beside others

    monkeypatch.setattr(run.method, "begin", slow_begin)
    monkeypatch.setattr(run, "_measured", lambda: StepCost(1.0, 1.0))  # its clock stands still
    run.calibrate(alone)
    run.run_epoch()
    assert turns == []
    run.run_epoch()
    assert len(turns) == 1
    assert run.work_s == 4 + 4 + 10
    assert run.train_seconds == 4 + 4 + 10


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_accuracy_is_of_passes_in_the_precision_of_training(
    precision: str, small_run: MakeRun
) -> None:
    run = small_run(precision=precision)
    seen: set[torch.dtype] = set()
    for layer in run.network.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, made: seen.add(made.dtype))
    run.metrics(run.splits.select)
    assert seen == {getattr(torch, precision)}


def test_a_state_from_a_device_with_other_kernels_goes_on_by_those_of_this_one(
    small_run: MakeRun,
) -> None:
    whole, stopped, resumed = (small_run() for _ in range(3))
    expected = numbers(whole)
    stopped.run_epoch()
    state = stopped.state_dict()
    for group in state["optimizer"]["param_groups"]:
        group["fused"] = True  # as on CUDA
    resumed.load_state_dict(state)
    assert [group["fused"] for group in resumed.optimizer.param_groups] == [None]
    assert numbers(resumed) == expected[1:]


def test_the_passes_of_a_step_have_fast_kernels_and_its_weights_do_not(
    small_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    now: list[torch.device] = []
    seen = []

    @contextmanager
    def fast_kernels(device: torch.device) -> Iterator[None]:
        now.append(device)
        yield
        now.pop()

    monkeypatch.setattr("adiw_tune.training.learner.fast_kernels", fast_kernels)
    run = small_run()
    weighter = run.method.estimator.weighter
    solve = weighter._estimate
    run.network.head.register_forward_hook(lambda *_: seen.append(("forward", bool(now))))
    run.network.head.weight.register_hook(lambda _: seen.append(("backward", bool(now))))

    def weights(*arguments: Tensor) -> Tensor:
        seen.append(("weights", bool(now)))
        return solve(*arguments)

    monkeypatch.setattr(weighter, "_estimate", weights)
    run._step(torch.arange(24), small.in_memory(run.method.rows).take(torch.arange(24)))
    forward = ("forward", True)  # of the training rows, then of the reference rows
    assert seen == [forward, forward, ("weights", False), ("backward", True)]
    seen.clear()
    run.metrics(run.splits.select)
    assert seen == [forward]
