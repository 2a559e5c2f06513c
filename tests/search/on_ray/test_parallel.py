"""A real trial of two workers, which Ray Train starts."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.exceptions import ActorDiedError, WorkerCrashedError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from torch.distributed import DistNetworkError

from adiw_tune.search.on_ray.errors import is_lost
from adiw_tune.search.on_ray.parallel import first_cause
from adiw_tune.training import TrainingDivergedError, TrainingRun, TrialConfig

from ...cli.helpers import Running, of_kind, read_events

EPOCHS = 5
SPACE = f"""
def space(trial):
    fixed = {{"divergence": "mmd", "warm_start": "memory", "batch_size": 8, "epochs": {EPOCHS}}}
    return {{**fixed, "steps": trial.suggest_int("steps", 5, 6)}}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", "1", "--seeds", "0")


@pytest.mark.slow
def test_a_trial_of_two_workers_that_is_killed_leaves_none_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    with Running(tmp_path, *SEARCH, "--workers-per-trial", "2") as search:
        search.wait_until(lambda: bool(of_kind(read_events(tmp_path), "checkpoint")))
        first = processes(search, "RayTrainWorker")
        (trial,) = processes(search, "ImplicitFunc")
        os.kill(trial, signal.SIGKILL)
        # The only cores there are must be free again for the others.
        search.wait_until(lambda: len(processes(search, "RayTrainWorker") - first) == 2)
        assert not first & processes(search, "RayTrainWorker")
        search.wait_until(lambda: bool(of_kind(read_events(tmp_path), "end")))

    events = read_events(tmp_path)
    events = events[: events.index(of_kind(events, "end")[0]) + 1]  # what it takes is timed next
    (begun,), (lost,), (end,) = (of_kind(events, kind) for kind in ("trial", "lost", "end"))
    assert (lost["why"], end["status"]) == ("process", "finished")
    assert_same_as_one_process(begun["config"], of_kind(events, "epoch"))


def processes(search: Running, name: str) -> set[int]:
    return {number for number, command in search.members().items() if name in command}


def assert_same_as_one_process(config: dict[str, Any], epochs: list[dict[str, Any]]) -> None:
    torch.set_num_threads(1)  # as each worker has
    run = TrainingRun(TrialConfig.from_mapping(config))
    reports = [run.run_epoch() for _ in range(EPOCHS)]
    assert [event["epoch"] for event in epochs] == [report.epoch for report in reports]
    for event, report in zip(epochs, reports, strict=True):
        assert event["loss"] == pytest.approx(report.loss, rel=1e-3)
        assert event["metrics"]["accuracy"] == pytest.approx(report.metrics["accuracy"], abs=0.01)
        assert event["work_s"] > 0


DIVERGED = TrainingDivergedError("the training loss became nan in epoch 1")
LEFT_BEHIND = RuntimeError("[.../gloo/transport/tcp/pair.cc:561] Connection closed by peer")
GONE = ActorDiedError()
FOUND_GONE = WorkerHealthCheckFailedError("a worker is gone", GONE)


@pytest.mark.parametrize(
    ("failures", "cause"),
    [
        ({0: DIVERGED, 1: DIVERGED}, DIVERGED),
        ({0: LEFT_BEHIND, 1: DIVERGED}, DIVERGED),
        ({0: LEFT_BEHIND, 1: FOUND_GONE}, GONE),
        ({0: DistNetworkError("reset"), 1: FOUND_GONE}, GONE),
        ({0: FOUND_GONE, 1: MemoryError()}, MemoryError),
        ({1: LEFT_BEHIND}, WorkerCrashedError),  # it is heard of before the one that is gone
    ],
    ids=str,
)
def test_a_trial_ends_with_what_the_first_of_its_workers_ended_with(
    failures: dict[int, Exception], cause: Any
) -> None:
    found = first_cause(failures)
    assert found is cause or type(found) is cause
    if cause is GONE or cause is WorkerCrashedError:
        assert is_lost(found)
