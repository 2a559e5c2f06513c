"""A search as a job of a real cluster, from its submission to its end."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.ray_nodes import wait_until

from .conftest import PASSWORD, Cluster

# The password must be where the search runs; what the space says depends on a file sent with it.
QUICK = """
import os
from beside import EPOCHS


def space(trial):
    assert os.environ["MLFLOW_TRACKING_PASSWORD"]
    return {"epochs": trial.suggest_int("epochs", 1, EPOCHS), "batch_size": 64, "method": "erm"}
"""
LONG = "def space(trial):\n    return {'epochs': 9000, 'batch_size': 64, 'divergence': 'own.py'}\n"
OWN = "from adiw_tune.divergences import Energy\n\nDIVERGENCE = Energy()\n"


@pytest.fixture(scope="module")
def quick(cluster: Cluster) -> str:
    """What a short search printed that was submitted and followed to its end."""
    (cluster.folder / "quick.py").write_text(QUICK)
    (cluster.folder / "beside.py").write_text("EPOCHS = 2\n")
    (cluster.folder / ".env").write_text("not to be sent")
    # The address is the cluster's own, which knows where its job server is.
    ran = cluster.adiw_tune(
        *(
            "submit",
            "quick.py",
            "--name",
            "quick",
            "--trials",
            "2",
            "--seeds",
            "0",
            "--no-baselines",
        ),
        *("--storage", str(cluster.storage), "--env", "MLFLOW_TRACKING_PASSWORD"),
        *("--address", cluster.nodes.address),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == "submitted as job 'quick'; Ctrl-C leaves it running\n"
    return ran.stdout


def test_a_search_runs_there_and_is_followed_to_its_result(cluster: Cluster, quick: str) -> None:
    assert "pick: erm (plain training on the training rows" in quick
    assert f"train it again: adiw-tune train --from quick --storage {cluster.storage}" in quick
    assert (cluster.storage / "quick" / "decision.json").exists()
    assert runs(cluster)["quick"] == "FINISHED"


def test_what_it_printed_and_how_it_stands_can_be_asked_again(cluster: Cluster, quick: str) -> None:
    commands = ("logs", "status")
    begun = [cluster.begun(name, "quick", "--address", cluster.dashboard) for name in commands]
    (logs, _), (status, _) = (process.communicate(timeout=240) for process in begun)
    assert logs == quick
    first, counts, _ = status.splitlines()
    assert first.startswith("quick: SUCCEEDED (job 'quick' of ")
    assert "2 of 2 trials done: 2 finished" in counts


def test_no_token_and_no_password_is_written_anywhere(cluster: Cluster, quick: str) -> None:
    token = cluster.nodes.environment["RAY_AUTH_TOKEN"]
    logs = [path for path in cluster.nodes.folder.rglob("logs/**/*") if path.is_file()]
    assert any(path.name == "job-driver-quick.log" for path in logs)
    sealed = [path for path in logs if b"ADIW_TUNE_SEALED" in path.read_bytes()]
    assert sealed, "Ray does write variables into its logs"
    record = [path for path in cluster.storage.rglob("*") if path.is_file()]
    assert {"mlflow.db", "events.jsonl"} <= {path.name for path in record}
    for path in [*logs, *record]:
        for secret in (token, PASSWORD):
            assert secret.encode() not in path.read_bytes(), path
    assert token not in quick
    assert PASSWORD not in quick
    assert not list(cluster.nodes.folder.rglob("working_dir_files/**/.env"))


@pytest.mark.slow
def test_one_that_is_left_and_stopped_goes_on_when_it_is_submitted_again(cluster: Cluster) -> None:
    (cluster.folder / "long.py").write_text(LONG)
    (cluster.folder / "own.py").write_text(OWN)
    submit = ("submit", "long.py", "--name", "long", "--trials", "1", "--seeds", "0")
    submit = (*submit, "--storage", str(cluster.storage), "--address", cluster.dashboard)
    name = ("long", "--address", cluster.dashboard)
    with begun(cluster, *submit) as follower:
        wait_until(lambda: any(e["event"] == "checkpoint" for e in events(cluster, "long")))
        follower.send_signal(signal.SIGINT)
        _, left = follower.communicate(timeout=240)
    assert follower.returncode == 130
    assert left.splitlines()[-1] == (
        "'long' runs on; follow it by: adiw-tune logs long --follow, "
        "stop it by: adiw-tune stop long"
    )
    asked = [cluster.begun("status", *name), cluster.begun(*submit)]
    (status, _), (_, again) = (process.communicate(timeout=240) for process in asked)
    assert status.startswith("long: RUNNING (job 'long' of ")
    assert "0 of 1 trials done" in status
    assert asked[1].returncode == 2
    assert "error: search 'long' is running as job 'long': follow it by" in again

    with begun(cluster, "logs", "long", "--follow", "--address", cluster.dashboard) as follower:
        assert (
            cluster.adiw_tune("stop", *name).stdout
            == "stopped 'long'; submitted again it goes on\n"
        )
        printed, _ = follower.communicate(timeout=240)
    assert follower.returncode == 130
    assert "stopped; go on by: adiw-tune resume long" in printed
    assert "RUNNING" not in runs(cluster).values()
    assert runs(cluster)["long"] == "KILLED"
    before, sent = events(cluster, "long"), files_from(cluster, "long")
    assert not [event for event in before if event["event"] == "end"]

    # Ray keeps each folder that was sent by what it holds, for as long as it likes.
    (cluster.folder / "own.py").write_text(f"{OWN}# as it was\n")
    shutil.rmtree(sent)

    with begun(cluster, *submit) as follower:
        wait_until(
            lambda: any(e["event"] == "epoch" for e in events(cluster, "long")[len(before) :])
        )
    epochs = [event["epoch"] for event in events(cluster, "long") if event["event"] == "epoch"]
    assert epochs == list(range(1, len(epochs) + 1))
    assert files_from(cluster, "long") != sent


@contextmanager
def begun(cluster: Cluster, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs meanwhile, and does not outlive the body by long."""
    with cluster.begun(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def events(cluster: Cluster, name: str) -> list[dict[str, object]]:
    path = cluster.storage / name / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def files_from(cluster: Cluster, name: str) -> Path:
    settings = json.loads((cluster.storage / name / "search.json").read_text())
    return Path(settings["folder"])


def runs(cluster: Cluster) -> dict[str, str]:
    """Name -> status of those in MLflow's database."""
    with closing(sqlite3.connect(cluster.storage / "mlflow.db")) as database:
        return dict(database.execute("SELECT name, status FROM runs"))
