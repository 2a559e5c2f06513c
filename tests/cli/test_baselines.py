"""A search whose divergence does harm: a baseline wins, and is told and trained as the pick."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from adiw_tune.arms import BASELINES, arm

from .conftest import Finished
from .helpers import adiw_tune, assert_tells_the_same, called, of_kind, read_events
from .helpers import searched as search_trials

HARM = """
from dataclasses import dataclass

from torch import Tensor

from adiw_tune.divergences import Local


class WorstRows:
    def prepare(self, source, target):
        worst = (source > source.median()).to(source.dtype)
        return WorstRowsObjective(worst / worst.mean().clamp_min(1e-6))


@dataclass(frozen=True)
class WorstRowsObjective:
    wanted: Tensor

    def at(self, w):
        away = w - self.wanted
        return Local(away @ away / (2 * len(w)), away / len(w), w.new_tensor(1 / len(w)))


DIVERGENCE = WorstRows()
"""
SPACE = """
def space(trial):
    return {
        "shift": "symmetric:0.5",
        "divergence": "harm.py",
        "warm_start": "memory",
        "warmup_epochs": 0,
        "reference_weight": 0.0,
        "batch_size": 64,
        "learning_rate": 0.003,
        "epochs": trial.suggest_int("epochs", 5, 6),
        "step_size": trial.suggest_float("step_size", 0.5, 1.0),
    }
"""
TRIALS, SEEDS = 10, 5


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("baselines")
    (folder / "harm.py").write_text(HARM)
    (folder / "space.py").write_text(SPACE)
    options = ("--name", "s", "--trials", str(TRIALS), "--seeds", str(SEEDS), "--concurrency", "1")
    ran = adiw_tune(folder, "search", "space.py", *options)
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)


def test_baselines_are_tried_within_the_trials_asked_for(searched: Finished) -> None:
    arms = [arm(trial["config"]) for trial in search_trials(searched.events)]
    assert len(arms) == TRIALS
    assert arms[:4] == ["harm.py", *BASELINES]
    assert arms.count("harm.py") > 1
    for trial in search_trials(searched.events):
        if (name := arm(trial["config"])) in BASELINES:
            own = {"reference_weight"} if name == "pooled" else set()
            assert trial["params"].keys() == {"epochs", *own}


def test_the_baseline_that_is_better_is_the_pick_from_the_first_line_on(searched: Finished) -> None:
    decision = json.loads(called(searched.folder, "best", "s", "--format", "json").stdout)
    assert decision["divergence"] in BASELINES
    assert decision["worth_it"] == "no"
    assert (decision["gain_of"], decision["baselines"]) == ("harm.py", list(BASELINES))
    low, high = decision["gain_interval"]
    assert low <= decision["gain"] < 0
    assert high < 0.01
    told = f"weighting does not help here: train with {decision['divergence']} ("
    assert called(searched.folder, "best", "s").stdout.startswith(told)
    assert any(line.startswith(told) for line in searched.ran.stdout.splitlines())


def test_it_races_over_the_same_seeds_and_is_trained_again(searched: Finished) -> None:
    decision = json.loads((searched.folder / "adiw-searches/s/decision.json").read_text())
    over_seeds = [run for run in of_kind(searched.events, "trial") if run["kind"] == "seed"]
    seeds = {name: set[int]() for name in ("harm.py", *BASELINES)}
    for run in over_seeds:
        seeds[arm(run["config"])].add(run["config"]["seed"])
    assert len(seeds["harm.py"]) >= 3  # until the answer is no
    assert seeds["harm.py"] <= seeds[decision["divergence"]]
    (winner,) = [run for run in of_kind(searched.events, "trial") if run["kind"] == "winner"]
    assert winner["of"] == decision["trial"]


def test_mlflow_holds_the_answer_and_the_baselines_network(searched: Finished) -> None:
    assert_tells_the_same(searched.folder)
    parent = searched.tracked.parent
    assert parent.data.tags["worth_it"] == "no"
    assert parent.data.metrics["gain"] < 0
    assert "eighting does not help here: train with" in parent.data.tags["mlflow.note.content"]


def test_finalize_reads_the_test_split_with_it(searched: Finished) -> None:
    decision = json.loads(called(searched.folder, "best", "s", "--format", "json").stdout)
    ran = called(searched.folder, "finalize", "s", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["divergence"] == decision["divergence"]


def test_more_trials_are_for_weights_too(searched: Finished) -> None:
    ran = adiw_tune(searched.folder, "extend", "s", "--trials", "4")
    assert ran.returncode == 0, ran.stderr
    arms = [arm(trial["config"]) for trial in search_trials(read_events(searched.folder))]
    assert len(arms) == TRIALS + 4
    assert "harm.py" in arms[TRIALS:]


def test_what_was_not_compared_is_told(tmp_path: Path) -> None:
    (tmp_path / "harm.py").write_text(HARM)
    (tmp_path / "space.py").write_text(SPACE)
    options = ("--trials", "3", "--seeds", "0", "--concurrency", "1")
    ran = adiw_tune(tmp_path, "search", "space.py", "--name", "s", *options)
    told = "\nnot compared with clean-only: no finished trial\n"
    assert told in ran.stdout
    assert told in called(tmp_path, "best", "s").stdout
    trials = json.loads(called(tmp_path, "front", "s", "--format", "json").stdout)
    policy = f"best-under={min(trial['work_s'] for trial in trials) + 1e-6}"  # takes one side alone
    assert re.search(
        r"\nwhether weighting helps was not tested: no (weighted trial|baseline) that "
        f"policy {policy} may take has finished\n",
        called(tmp_path, "best", "s", "--policy", policy).stdout,
    )


def test_a_plan_counts_them(searched: Finished, tmp_path: Path) -> None:
    told = called(searched.folder, "plan", "space.py", "--trials", "4").stdout
    without = called(searched.folder, "plan", "space.py", "--trials", "4", "--no-baselines").stdout
    for name in BASELINES:
        assert f"\n    {name} " in told
        assert f"\n    {name} " not in without
