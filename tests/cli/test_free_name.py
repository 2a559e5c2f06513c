"""Whatever ends a search before a trial ran leaves nothing of it, and its name free."""

from __future__ import annotations

from pathlib import Path

import pytest

from .helpers import called

# Its points are right until the search itself asks for one.
SPACE = """
import os
import signal
import sys
import time


def space(trial):
    if "adiw-searches" in __file__:
        {}
    return {{"epochs": 1, "warmup_epochs": 0}}
"""
INTERRUPTS = "os.kill(os.getpid(), signal.SIGINT), time.sleep(5)"


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("sys.exit(0)", 2, "failed: SystemExit: 0 (line 10)"),
        (INTERRUPTS, 130, "stopped before a trial had run: nothing of it is kept"),
    ],
)
def test_a_search_that_ends_before_its_first_trial(
    tmp_path: Path, ending: str, code: int, told: str
) -> None:
    from mlflow import MlflowClient

    (tmp_path / "space.py").write_text(SPACE.format(ending))
    options = ("--name", "s", "--or-resume", "--checkpoints", "kept")
    ran = called(tmp_path, "search", "space.py", *options)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.splitlines()[-1].endswith(told)
    assert "Traceback" not in ran.stderr
    assert list((tmp_path / "adiw-searches").iterdir()) == []
    assert list((tmp_path / "kept").glob("*")) == []
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    assert client.search_runs(experiments) == []
