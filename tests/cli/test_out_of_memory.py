"""Runs for which there is not enough memory: one retry on a larger share, and no cascade."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from adiw_tune.cores import usable_cores

from .helpers import (
    Running,
    adiw_tune,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    of_kind,
    read_events,
)

# More than any machine has: the allocator refuses it at once. Only of a mini-batch in a run of the
# search, as the search and the run try a divergence of one's own on a few rows before they begin.
HUNGRY = """
from pathlib import Path

import ray
import torch

from adiw_tune.divergences import MMD

ALWAYS = {always}


class Hungry(MMD):
    def prepare(self, source, target):
        if ray.is_initialized() and len(source) == 64:
            had = ray.get_runtime_context().get_assigned_resources()
            tried = Path(__file__).with_suffix(".tried")
            first = not tried.exists()
            if ALWAYS or first:
                with tried.open("a") as file:
                    file.write(f"{{had['CPU']:.0f}} ")
                torch.empty(10**15)
            tried.with_suffix(".had").write_text(f"{{had['CPU']:.0f}}")
        return super().prepare(source, target)


DIVERGENCE = Hungry()
"""
# Takes memory until Ray kills its process, which it does before the system would.
GREEDY = """
import time
from pathlib import Path

import ray

from adiw_tune.divergences import MMD

TRIED = Path(__file__).with_suffix(".tried")


class Greedy(MMD):
    def prepare(self, source, target):
        if ray.is_initialized() and len(source) == 64 and not TRIED.exists():
            TRIED.touch()
            self.held = bytearray(b"x") * {size}
            time.sleep(60)
        return super().prepare(source, target)


DIVERGENCE = Greedy()
"""
SPACE = """
FILES = ["once.py", "always.py"]


def space(trial):
    divergence = FILES[trial.number % 2]
    return {"divergence": divergence, "epochs": 1, "warmup_epochs": 0, "batch_size": 64}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", "2", "--seeds", "0", "--no-baselines")
SEARCH = (*SEARCH, "--concurrency", "1")


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="a larger share needs a second core")
def test_a_run_gets_a_larger_share_once_and_is_then_infeasible(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    (tmp_path / "once.py").write_text(HUNGRY.format(always=False))
    (tmp_path / "always.py").write_text(HUNGRY.format(always=True))
    ran = adiw_tune(tmp_path, *SEARCH)
    assert ran.returncode == 0, ran.stderr
    events = read_events(tmp_path)
    lost = of_kind(events, "lost")
    assert [(event["trial"], event["why"]) for event in lost] == [
        ("t0", "memory"),
        ("t1", "memory"),
    ]
    assert all("can't allocate memory" in event["reason"] for event in lost)
    assert (tmp_path / "once.had").read_text() == "2"
    assert (tmp_path / "always.tried").read_text() == "1 2 "
    ends = {event["trial"]: event for event in of_kind(events, "end")}
    assert (ends["t0"]["status"], ends["t1"]["status"]) == ("finished", "infeasible")
    assert ends["t1"]["reason"].startswith("out of memory: RuntimeError: ")
    assert_each_trial_ran_once(events)
    assert_tells_the_same(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="a larger share needs a second core")
def test_a_run_that_ray_kills_for_its_memory_gets_a_larger_share_too(tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    (tmp_path / "greedy.py").write_text(GREEDY.format(size=int(0.3 * memory.total)))
    (tmp_path / "space.py").write_text(SPACE.replace("FILES[trial.number % 2]", "'greedy.py'"))
    allowed = 1 - memory.available / memory.total + 0.2
    command = (*SEARCH, "--no-early-stopping")
    with Running(tmp_path, *command, cluster={"RAY_memory_usage_threshold": f"{allowed:.2f}"}) as s:
        assert s.ended() == 0, s.stderr()
    events = read_events(tmp_path)
    (lost,) = of_kind(events, "lost")
    assert lost["why"] == "memory"
    assert lost["reason"] == "Ray killed its process, as the machine ran low on memory"
    assert {end["status"] for end in of_kind(events, "end")} == {"finished"}
    assert_each_trial_ran_once(events)
