"""Runs the command line for real, and reads what it left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.cli import main

Event = dict[str, Any]

COMMAND = str(Path(sys.executable).with_name("adiw-tune"))
_SECONDS_TO_WAIT = 500.0


def environment() -> dict[str, str]:
    """This process's, without what a user may have set for MLflow or the data."""
    ours = ("MLFLOW_TRACKING_URI", "MLFLOW_LOGGING_LEVEL", "ADIW_DATA_DIR", "COLUMNS")
    return {name: value for name, value in os.environ.items() if name not in ours}


def adiw_tune(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` to its end; one that hangs tells where its threads stand."""
    with subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env={**environment(), "PYTHONFAULTHANDLER": "1"},  # which SIGABRT has write all stacks
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(timeout=_SECONDS_TO_WAIT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            out, err = process.communicate()
            pytest.fail(f"no end after {_SECONDS_TO_WAIT:.0f} s: {arguments}\n{out}\n{err}")
    return subprocess.CompletedProcess(list(arguments), process.returncode, out, err)


def called(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves the seconds that importing torch takes."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv, sys.argv = sys.argv, ["adiw-tune", *arguments]
    try:
        with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        sys.argv = argv
    return subprocess.CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())


class Running:
    """A command that runs in a session of its own, to be killed as a user's would be.

    ``cluster`` is what it needs in its environment to use one.
    """

    def __init__(
        self, folder: Path, *arguments: str, cluster: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        with (folder / "stderr.txt").open("w") as stderr:
            self.process = subprocess.Popen(
                [COMMAND, *arguments],
                cwd=folder,
                env={**environment(), **(cluster or {})},
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of the session may outlive the test."""
        for number in self.members():
            with suppress(ProcessLookupError):  # it was just ending
                os.kill(number, signal.SIGKILL)
        self.process.wait()

    def wait_until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        while not happened():
            assert self.process.poll() is None, f"it ended by itself: {self.stderr()}"
            assert time.monotonic() < deadline, f"nothing happened: {self.stderr()}"
            time.sleep(0.005)

    def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(_SECONDS_TO_WAIT)

    def send(self, number: signal.Signals) -> int:
        """Signal this process alone, not Ray's; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS_TO_WAIT)

    def wait_until_no_trial_runs(self) -> None:
        """Ray's core and workers notice by themselves that the driver is gone."""
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        words = ("ImplicitFunc", "raylet", "gcs_server")
        while left := [n for n in self.members().values() if any(word in n for word in words)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.1)

    def members(self) -> dict[int, str]:
        """Number and command line of the session's processes that still run."""
        columns = ("-o", "pid=,stat=,args=")
        listed = subprocess.run(
            ["ps", "-s", str(self.process.pid), *columns], text=True, capture_output=True
        )
        lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
        return {int(pid): text for pid, state, text in lines if not state.startswith("Z")}

    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text()


def read_events(folder: Path, name: str = "s") -> list[Event]:
    """The whole lines of a search's events."""
    path = folder / "adiw-searches" / name / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def searched(events: list[Event]) -> list[Event]:
    """The beginnings of search trials, without the finale's runs."""
    return [event for event in of_kind(events, "trial") if event["kind"] == "search"]


def ends_of(events: list[Event], begun: list[Event]) -> list[Event]:
    """The ends of these runs, in the order in which they came."""
    names = {event["trial"] for event in begun}
    return [end for end in of_kind(events, "end") if end["trial"] in names]


def trials_in(events: list[Event], kind: str) -> list[str]:
    return [event["trial"] for event in of_kind(events, kind)]


class Tracked:
    """What MLflow holds of the one search in a folder."""

    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        # A copy, so that looking at a store cannot change it.
        copy = shutil.copy(folder / "mlflow.db", folder / "looked-at.db")
        self.client = MlflowClient(f"sqlite:///{copy}")
        experiments = [found.experiment_id for found in self.client.search_experiments()]
        runs = list(self.client.search_runs(experiments, max_results=1000))
        self.runs = runs
        (self.parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        nested = [run for run in runs if "adiw.trial" in run.data.tags]  # a curve's has none
        self.children = {run.data.tags["adiw.trial"]: run for run in nested}
        assert len(self.children) == len(nested), "two runs for one trial"

    def history(self, trial: str, metric: str) -> list[tuple[int, float]]:
        """(step, value), in the order of steps; a point logged twice is there twice."""
        run_id = self.children[trial].info.run_id
        points = self.client.get_metric_history(run_id, metric)
        return sorted((point.step, point.value) for point in points)

    def artifacts(self) -> dict[str, Path]:
        """The parent's files by name."""
        root = Path(self.parent.info.artifact_uri.removeprefix("file://"))
        return {path.name: path for path in root.iterdir()}


def assert_tells_the_same(folder: Path, name: str = "s") -> None:
    """MLflow holds the events, each once: trials, their ends, and a point for each epoch."""
    events, tracked = read_events(folder, name), Tracked(folder)
    assert set(tracked.children) == set(trials_in(events, "trial"))
    ends = {event["trial"]: event["status"] for event in of_kind(events, "end")}
    words = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "pruned": "KILLED"}
    words["infeasible"] = "FAILED"
    for trial, run in tracked.children.items():
        assert run.info.status == words[ends[trial]]
        epochs = [event for event in of_kind(events, "epoch") if event["trial"] == trial]
        for metric in ("work_s", "wall_s", "loss"):
            assert tracked.history(trial, metric) == [(e["epoch"], e[metric]) for e in epochs]
        for metric in epochs[0]["metrics"] if epochs else ():
            values = [(e["epoch"], e["metrics"][metric]) for e in epochs]
            assert tracked.history(trial, metric) == [v for v in values if v[1] is not None]
    assert "RUNNING" not in {run.info.status for run in tracked.runs}


def assert_each_trial_ran_once(events: list[Event]) -> None:
    """One beginning, one end, and the epochs 1, 2, ... once each and in order."""
    begun, ended = trials_in(events, "trial"), trials_in(events, "end")
    assert len(begun) == len(set(begun))
    assert sorted(begun) == sorted(ended)
    for trial in begun:
        epochs = [event["epoch"] for event in of_kind(events, "epoch") if event["trial"] == trial]
        assert epochs == list(range(1, len(epochs) + 1))
