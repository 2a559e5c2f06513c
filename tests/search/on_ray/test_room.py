"""Trials on a real cluster that has room for them only once a node joins, and then for two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.helpers import Event, Running, of_kind, read_events
from tests.ray_nodes import ray_nodes

SPACE = "def space(trial):\n    return {'epochs': 80, 'batch_size': 16, 'method': 'erm'}\n"


@pytest.mark.slow
def test_trials_wait_for_a_node_and_share_its_gpu(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    command = (
        "search",
        "space.py",
        "--name",
        "s",
        "--trials",
        "4",
        "--seeds",
        "0",
        "--no-baselines",
    )
    command = (*command, "--gpus-per-trial", "0.5")
    with ray_nodes() as nodes:
        nodes.start_head(0)
        command = (*command, "--address", nodes.address)
        with Running(tmp_path, *command, cluster=nodes.environment) as search:
            search.wait_until(lambda: "warning" in search.stderr())
            warned = search.stderr()
            nodes.start(3, "--num-gpus=1")  # cores for three trials
            assert search.ended() == 0, search.stderr()
    assert "warning: no machine of the cluster has 1 core: trials wait for a machine that" in warned
    events = read_events(tmp_path)
    assert len(of_kind(events, "end")) == len(of_kind(events, "trial")) == 6  # and two of the pick
    assert most_at_once(events) == 2


def most_at_once(events: list[Event]) -> int:
    """How many trials were in training at the same time."""
    steps = {"setup": 1, "end": -1}
    at_once = [0]
    for event in events:
        at_once.append(at_once[-1] + steps.get(event["event"], 0))
    return max(at_once)
