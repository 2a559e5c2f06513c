"""A search on a real cluster of several nodes, of which this and that is killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from ...cli.helpers import (
    Event,
    Running,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    of_kind,
    read_events,
    trials_in,
)
from ...ray_nodes import Node, Nodes, ray_nodes

# Mini-batches of 4, so that an epoch takes long beside a checkpoint: then each epoch has one.
SPACE = """
def space(trial):
    values = {"epochs": trial.suggest_int("epochs", 4, 6), "batch_size": 4}
    return {**values, "divergence": trial.suggest_categorical("divergence", ["mmd", "squared"])}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", "3", "--seeds", "0", "--no-baselines")
SEARCH = (*SEARCH, "--no-early-stopping", "--address")


def under_way(folder: Path, trials: int) -> bool:
    """Whether so many trials have run an epoch, have a checkpoint of it, and are not over."""
    events = read_events(folder)
    over = set(trials_in(events, "end"))
    return len(set(trials_in(events, "checkpoint")) - over) >= trials


def lost(folder: Path) -> list[Event]:
    return of_kind(read_events(folder), "lost")


def with_a_trial(nodes: list[Node]) -> Node:
    return next(node for node in nodes if node.trials())


def assert_no_epoch_was_lost(events: list[Event]) -> None:
    """A run went on from the last epoch it had told of, or from the one before."""
    for trial in trials_in(events, "trial"):
        saved = [e["epoch"] for e in of_kind(events, "checkpoint") if e["trial"] == trial]
        assert saved == sorted(set(saved)), f"{trial} ran epochs again: {saved}"
    for event in of_kind(events, "lost"):
        before = [e for e in events[: events.index(event)] if e.get("trial") == event["trial"]]
        told = len(of_kind(before, "epoch"))
        assert of_kind(before, "checkpoint")[-1]["epoch"] >= told - 1


@pytest.fixture
def nodes() -> Nodes:
    with ray_nodes() as started:
        started.start_head(cpus=0)
        yield started


@pytest.mark.slow
def test_a_trial_then_a_node_then_the_driver_is_killed(tmp_path: Path, nodes: Nodes) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    workers = [nodes.start(cpus=1), nodes.start(cpus=1)]
    with Running(tmp_path, *SEARCH, nodes.address, cluster=nodes.environment) as search:
        search.wait_until(lambda: under_way(tmp_path, 1))
        with_a_trial(workers).trials()[0].kill()
        search.wait_until(lambda: len(lost(tmp_path)) == 1 and under_way(tmp_path, 2))
        with_a_trial(workers).kill()
        search.wait_until(lambda: search.stderr().count("[lost] trial ") == 2)
        assert search.send(signal.SIGKILL) == -signal.SIGKILL

    with Running(tmp_path, "resume", "s", cluster=nodes.environment) as search:
        assert search.ended() == 0, search.stderr()
    events = read_events(tmp_path)
    assert {event["why"] for event in lost(tmp_path)} == {"process"}
    assert {event["status"] for event in of_kind(events, "end")} == {"finished"}
    assert_each_trial_ran_once(events)
    assert_no_epoch_was_lost(events)
    assert_tells_the_same(tmp_path)


@pytest.mark.slow
def test_a_search_whose_head_is_gone_goes_on_elsewhere(tmp_path: Path, nodes: Nodes) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    nodes.start(cpus=1)
    with Running(tmp_path, *SEARCH, nodes.address, cluster=nodes.environment) as search:
        search.wait_until(lambda: under_way(tmp_path, 1))
        nodes.nodes[0].kill()
        assert search.ended() == 1
        assert f"error: Ray's head at '{nodes.address}' is gone" in search.stderr()
        assert "Traceback" not in search.stderr()
    before = read_events(tmp_path)
    assert not of_kind(before, "lost")
    for node in nodes.nodes:
        node.kill()
    with Running(tmp_path, "resume", "s", cluster=nodes.environment) as search:
        assert search.ended() == 2
        assert search.stderr().startswith(f"error: no Ray cluster at '{nodes.address}'")

    with ray_nodes() as others:
        others.start_head(cpus=1)
        resume = ("resume", "s", "--address", others.address)
        with Running(tmp_path, *resume, cluster=others.environment) as search:
            assert search.ended() == 0, search.stderr()
    events = read_events(tmp_path)
    assert events[: len(before)] == before
    assert_each_trial_ran_once(events)
    assert_no_epoch_was_lost(events)
