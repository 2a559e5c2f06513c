"""Points in processes of their own: how they fail, and whose memory is measured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from adiw_tune.scaling.dial import Point
from adiw_tune.scaling.point import Failed, _running, measure_point
from adiw_tune.scaling.worker import Job, Measured
from adiw_tune.search.on_ray.exclusive import device_turn
from adiw_tune.training import TrialConfig

# Mini-batches of 16 rows kill their process, those of 32 become infinite.
TASK = """
import os
import signal

import torch
from torch import nn

REFERENCE_SIZE = SELECT_SIZE = 32


def augment(inputs):
    if len(inputs) == 16:
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs * (float("inf") if len(inputs) == 32 else 1)


def train():
    print("what a user's own code prints")
    x = torch.randn(160, 2, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long()


def test():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0] > 0).long()


def model():
    return nn.Linear(2, 2)
"""


def measured(task: Path, batch: int, seeds: int = 1) -> tuple[Measured | Failed, list[str]]:
    # Plain steps alone: of the 32 reference rows each pass would become infinite.
    fixed = {"epochs": 2, "warmup_epochs": 2, "reference_weight": 0.0, "seed": 3}
    config = TrialConfig.from_mapping({"task": str(task), "batch_size": batch, **fixed})
    told: list[str] = []

    def tell(message: dict[str, object]) -> None:
        told.append(f"{message['seed']}: {message['epoch']}")

    return measure_point(Point(batch, config), seeds, "accuracy", "cpu", None, 0.5, tell), told


def test_a_point_is_measured_over_its_seeds_and_by_its_own_memory(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TASK)
    here = b"x" * (5 * 2**28)  # of which a process started from here must not seem to have any
    outcome, told = measured(tmp_path / "own.py", batch=24, seeds=2)
    assert isinstance(outcome, Measured), outcome
    assert told == ["3: 1", "3: 2", "4: 1", "4: 2"]
    assert outcome.peak_memory_bytes is not None
    assert 2**26 < outcome.peak_memory_bytes < len(here)
    assert outcome.plain_s == 0.5
    assert outcome.work_s == 0.5 * 4  # 96 training rows are four mini-batches
    assert outcome.rows_per_work_s == 96 / outcome.work_s
    assert outcome.wall_s == pytest.approx(96 / outcome.rows_per_s)


def test_waiting_for_the_device_is_no_time_of_training_for_any_worker(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TASK)
    config = TrialConfig(
        task=str(tmp_path / "own.py"), method="erm", batch_size=24, epochs=30, warmup_epochs=0
    )
    jobs = [
        Job(config.as_dict(), 1, "accuracy", None, "cpu", None, 0.5, rank, 2, f"{tmp_path}/meeting")
        for rank in range(2)
    ]
    wall_s: dict[int, float] = {}
    epochs: list[float] = []  # of the first process, when each had ended
    waited_s = 0.0
    with _running(jobs) as told:
        while len(wall_s) < 2:
            rank, message = told.get()
            assert "failed" not in message or rank in wall_s, message
            if "measured" in message:
                wall_s[rank] = config.epochs * message["measured"]["wall_s"]
            elif rank == 0:
                epochs.append(time.monotonic())
                if len(epochs) == 10:  # longer than all will take, however busy the machine is
                    waited_s = 3 + 10 * (epochs[-1] - epochs[0])
                    with device_turn(torch.device("cpu")).exclusive():  # between two of its epochs
                        time.sleep(waited_s)
    assert 0 < max(wall_s.values()) < waited_s


def test_one_that_is_killed_and_one_that_diverges_are_told(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(TASK)
    killed, told = measured(tmp_path / "own.py", batch=16)
    assert killed == Failed("killed, as the system does where memory runs out")
    assert told == []
    diverged, _ = measured(tmp_path / "own.py", batch=32)
    assert diverged == Failed("the training loss became nan in epoch 1")
