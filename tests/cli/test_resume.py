"""Searches that are killed: what had finished is kept, and resuming comes to the same end."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from .helpers import (
    Event,
    Running,
    Tracked,
    adiw_tune,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    ends_of,
    of_kind,
    read_events,
    searched,
    trials_in,
)

TRIALS = 4
SPACE = """
def space(trial):
    values = {"epochs": trial.suggest_int("epochs", 5, 7), "batch_size": 64}
    return {**values, "divergence": trial.suggest_categorical("divergence", ["mmd", "squared"])}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", str(TRIALS), "--concurrency", "1")
SEARCH = (*SEARCH, "--no-baselines")
SEARCH = (*SEARCH, "--seeds", "3", "--no-early-stopping")


def make(folder: Path) -> None:
    (folder / "space.py").write_text(SPACE)


def finished(events: list[Event]) -> set[str]:
    """Of search trials."""
    ends = ends_of(events, searched(events))
    return {event["trial"] for event in ends if event["status"] == "finished"}


def running(events: list[Event]) -> set[str]:
    """Trials with an epoch and no end."""
    return set(trials_in(events, "epoch")) - set(trials_in(events, "end"))


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    """The events of that search when nothing cuts it off."""
    folder = tmp_path_factory.mktemp("through")
    make(folder)
    ran = adiw_tune(folder, *SEARCH)
    assert ran.returncode == 0, ran.stderr
    return read_events(folder)


def without_seconds(events: list[Event]) -> tuple[dict[str, Any], dict[tuple[str, int], Any]]:
    """Configurations and curves of the search trials; what was measured in seconds may differ."""
    begun = {event["trial"]: event["config"] for event in searched(events)}
    curves = {
        (event["trial"], event["epoch"]): (event["metrics"], event["loss"])
        for event in of_kind(events, "epoch")
        if event["trial"] in begun
    }
    return begun, curves


def assert_whole(folder: Path, through: list[Event]) -> None:
    events = read_events(folder)
    assert without_seconds(events) == without_seconds(through)
    assert_each_trial_ran_once(events)
    assert_tells_the_same(folder)
    assert len(finished(events)) == TRIALS
    configs = {event["trial"]: event["config"] for event in of_kind(events, "trial")}
    for trial in trials_in(events, "trial"):
        epochs = [e for e in of_kind(events, "epoch") if e["trial"] == trial]
        assert len(epochs) == configs[trial]["epochs"]
    decision = json.loads((folder / "adiw-searches/s/decision.json").read_text())
    assert decision["trial"] in finished(events)
    assert f"{decision['trial']}-winner" in trials_in(events, "end")


@pytest.mark.timeout(1200)  # four searches one after the other, and others beside them
def test_ctrl_c_then_a_kill_just_after_a_trial_ended(tmp_path: Path, through: list[Event]) -> None:
    make(tmp_path)
    with Running(tmp_path, *SEARCH) as search:
        search.wait_until(lambda: bool(finished(e := read_events(tmp_path)) and running(e)))
        assert search.send(signal.SIGINT) == 130
        assert search.stderr().splitlines()[-1] == "stopped; go on by: adiw-tune resume s"
        assert "Traceback" not in search.stderr()
        interrupted = read_events(tmp_path)
        assert "RUNNING" not in {run.info.status for run in Tracked(tmp_path).runs}
        assert not (tmp_path / "adiw-searches/s/decision.json").exists()

    front = adiw_tune(tmp_path, "front", "s", "--format", "json")
    assert {row["trial"] for row in json.loads(front.stdout)} <= finished(interrupted)

    with Running(tmp_path, "resume", "s") as search:
        ended = len(finished(interrupted)) + 2
        search.wait_until(lambda: len(finished(read_events(tmp_path))) >= ended)
        assert search.send(signal.SIGKILL) == -signal.SIGKILL
        search.wait_until_no_trial_runs()
        killed = read_events(tmp_path)
    assert killed[: len(interrupted)] == interrupted

    ran = adiw_tune(tmp_path, "resume", "s")
    assert ran.returncode == 0, ran.stderr
    after = read_events(tmp_path)
    assert after[: len(killed)] == killed
    assert not finished(killed) & {event.get("trial") for event in after[len(killed) :]}
    told = [line for line in ran.stderr.splitlines() if re.match(r"\[\d+/4, .*\] trial ", line)]
    assert len(told) == len(finished(after) - finished(killed))
    assert "train it again: adiw-tune train --from s" in ran.stdout
    assert_whole(tmp_path, through)


@pytest.mark.slow
def test_a_kill_before_any_trial_then_one_in_the_finale(
    tmp_path: Path, through: list[Event]
) -> None:
    make(tmp_path)
    with Running(tmp_path, *SEARCH) as search:
        search.wait_until((tmp_path / "adiw-searches/s/search.json").exists)
        search.send(signal.SIGKILL)
    assert of_kind(read_events(tmp_path), "trial") == []

    with Running(tmp_path, "resume", "s") as search:
        search.wait_until(lambda: any("seed" in t for t in trials_in(read_events(tmp_path), "end")))
        search.send(signal.SIGKILL)
        search.wait_until_no_trial_runs()
        killed = read_events(tmp_path)
    ended = set(trials_in(killed, "end"))

    ran = adiw_tune(tmp_path, "resume", "s")
    assert ran.returncode == 0, ran.stderr
    after = read_events(tmp_path)[len(killed) :]
    assert not ended & {event["trial"] for event in after if "trial" in event}
    assert_whole(tmp_path, through)
