"""A search whose trial has two workers, of which one is killed; and what is said of one that is."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.training import TrainingRun, TrialConfig

from ...cli.helpers import Running, assert_tells_the_same, of_kind, read_events

EPOCHS = 5
SPACE = f"""
def space(trial):
    fixed = {{"divergence": "mmd", "warm_start": "memory", "batch_size": 8, "epochs": {EPOCHS}}}
    return {{**fixed, "steps": trial.suggest_int("steps", 5, 6)}}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", "1", "--seeds", "0")


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
        assert search.ended() == 0, search.stderr()
        search.wait_until_no_trial_runs()
        assert not processes(search, "RayTrainWorker")

    events = read_events(tmp_path)
    (begun,), (lost,), (end,) = (of_kind(events, kind) for kind in ("trial", "lost", "end"))
    assert (lost["why"], end["status"]) == ("process", "finished")
    assert_same_as_one_process(begun["config"], of_kind(events, "epoch"))
    assert_tells_the_same(tmp_path)


def processes(search: Running, name: str) -> set[int]:
    return {number for number, command in search.members().items() if name in command}


def assert_same_as_one_process(config: dict[str, Any], epochs: list[dict[str, Any]]) -> None:
    run = TrainingRun(TrialConfig.from_mapping(config))
    reports = [run.run_epoch() for _ in range(EPOCHS)]
    assert [event["epoch"] for event in epochs] == [report.epoch for report in reports]
    for event, report in zip(epochs, reports, strict=True):
        assert event["loss"] == pytest.approx(report.loss, rel=1e-3)
        assert event["accuracy"] == pytest.approx(report.accuracy, abs=0.01)
        assert event["work_s"] > 0
