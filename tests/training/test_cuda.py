"""What only a GPU can show: kernels, memory, compiled code, and where the clock runs."""

import gc

import pytest
import torch

from adiw_tune.training import StepCost, TrainingRun
from adiw_tune.training.kernels import fast_kernels
from adiw_tune.training.memory import (
    CONTEXT_BYTES,
    begin_measuring_memory,
    context_bytes,
    fit_at_once,
)

from .conftest import MakeRun

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CPU = torch.device("cpu")
CUDA = torch.device("cuda")


def settings() -> tuple[bool, str]:
    return torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.fp32_precision


@pytest.mark.parametrize(
    ("device", "asked", "inside"),
    [
        (CPU, "none", (False, "none")),
        (CUDA, "none", (True, "tf32")),
        (CUDA, "ieee", (True, "ieee")),  # what the process has asked for stays
    ],
)
def test_fast_kernels_are_for_passes_on_cuda_alone(
    device: torch.device, asked: str, inside: tuple[bool, str]
) -> None:
    matmul = torch.backends.cuda.matmul
    before = settings()
    matmul.fp32_precision = asked
    try:
        with fast_kernels(device), fast_kernels(device):
            assert settings() == inside
        assert settings() == (False, asked)
    finally:
        matmul.fp32_precision = before[1]


def test_as_many_fit_as_have_room_for_their_contexts() -> None:
    gib = 2**30
    assert [fit_at_once(need * gib, CONTEXT_BYTES, 16 * gib) for need in (1, 2, 6, 20)] == [
        8,
        4,
        1,
        1,
    ]
    assert fit_at_once(0, CONTEXT_BYTES, 16 * gib) == 25


def run_on_cuda(small_run: MakeRun, **values: object) -> TrainingRun:
    run = small_run(**values)
    return TrainingRun(run.config, CUDA, splits=run.splits)


@on_cuda
@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"optimizer": "adamw", "schedule": "cosine", "lr_warmup_epochs": 1},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    ],
)
def test_an_optimizer_is_one_kernel_and_goes_on_from_a_state_of_either_device(
    small_run: MakeRun, recipe: dict[str, object]
) -> None:
    there, here = run_on_cuda(small_run, **recipe), small_run(**recipe)
    for run in (there, here):
        run.run_epoch()
    assert there.optimizer.param_groups[0]["fused"] is True
    pairs = ((there, small_run(**recipe)), (here, run_on_cuda(small_run, **recipe)))
    for one, other in pairs:
        fused = other.optimizer.param_groups[0]["fused"]
        other.load_state_dict(one.state_dict())
        assert other.optimizer.param_groups[0]["fused"] is fused
        assert other.run_epoch().loss == pytest.approx(one.run_epoch().loss, rel=0.01)


@on_cuda
@pytest.mark.filterwarnings("default")  # the compiler has its own to give
def test_a_compiled_run_compiles_nothing_in_its_epochs(small_run: MakeRun) -> None:
    from torch._dynamo.utils import counters

    run = run_on_cuda(small_run, compiled=True)
    run.calibrate()
    before = dict(counters["stats"])
    assert before["unique_graphs"] == 2  # of the whole mini-batches, and of the last short one
    run.run_epoch()
    assert dict(counters["stats"]) == before


@on_cuda
def test_a_run_after_another_needs_no_more_memory_than_the_first(small_run: MakeRun) -> None:
    def peak() -> tuple[int, int]:
        run = run_on_cuda(small_run)
        run.calibrate()
        measured = torch.cuda.max_memory_reserved()
        while not run.finished:
            run.run_epoch()
        return measured, torch.cuda.max_memory_reserved()

    peak()  # what libraries take once
    first, whole = peak()
    waste = torch.empty(2**28, dtype=torch.uint8, device=CUDA)
    del waste  # and stays reserved
    assert peak()[0] <= first
    assert whole <= 1.3 * first  # the margin that shares have


@on_cuda
def test_measuring_memory_begins_with_what_is_in_use(small_run: MakeRun) -> None:
    run = run_on_cuda(small_run)
    run.run_epoch()
    run.itself = run  # type: ignore[attr-defined]  # as what Python frees only when it looks for it
    del run
    begin_measuring_memory(CUDA)
    gc.collect()
    held = torch.cuda.memory_allocated()
    begin_measuring_memory(CUDA)
    assert torch.cuda.memory_allocated() == held
    assert torch.cuda.max_memory_reserved() == torch.cuda.memory_reserved()


@on_cuda
def test_a_context_is_what_is_taken_beside_torchs_memory() -> None:
    before = context_bytes(CUDA)
    held = torch.empty(2**30, dtype=torch.uint8, device=CUDA)
    assert abs(context_bytes(CUDA) - before) < 2**26
    del held
    assert before > 2**26


@on_cuda
def test_steps_that_are_queued_when_a_pause_begins_are_time_of_training(
    small_run: MakeRun,
) -> None:
    run = run_on_cuda(small_run)
    run = TrainingRun(run.config, CUDA, step_cost=StepCost(1.0, 1.0), splits=run.splits)
    run.calibrate()
    torch.cuda.synchronize()

    def pause() -> float:
        torch.cuda._sleep(2**28)  # as if the step were a tenth of a second long
        torch.cuda.synchronize()
        return 0.0

    assert run.run_epoch(pause).train_seconds > 4 * 0.05
