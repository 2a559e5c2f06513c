"""One finished search that many tests look at."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from .helpers import Event, Tracked, adiw_tune, read_events

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported

# One trial in four diverges.
SPACE = """
import optuna

ARMS = [
    {"divergence": "mmd"},
    {"divergence": "wasserstein"},
    {"learning_rate": 1e30},
    {"method": "erm"},
]


def space(trial: optuna.Trial) -> dict:
    values = {"batch_size": 64, "learning_rate": 3e-3, "epochs": trial.suggest_int("epochs", 1, 3)}
    return {**values, **ARMS[trial.number % len(ARMS)]}
"""
TRIALS = 5
SEEDS = 3


@dataclass(frozen=True)
class Finished:
    """A folder in which ``adiw-tune search`` ran, and what that printed."""

    folder: Path
    ran: subprocess.CompletedProcess[str]

    @cached_property
    def events(self) -> list[Event]:
        return read_events(self.folder)

    @cached_property
    def tracked(self) -> Tracked:
        return Tracked(self.folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "space.py").write_text(SPACE)
    options = ("--name", "s", "--trials", str(TRIALS), "--seed", "7", "--concurrency", "1")
    options = (*options, "--seeds", str(SEEDS), "--no-baselines")
    ran = adiw_tune(folder, "search", "space.py", *options)
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)
