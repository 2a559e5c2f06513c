"""A search that ends before its number of trials: what its baselines are tried with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import time
from typing import Any

import pytest
from optuna.distributions import IntDistribution, distribution_to_json

from adiw_tune.arms import BASELINES
from adiw_tune.record.runs import Run
from adiw_tune.search.programme import Begin, Programme
from adiw_tune.search.proposals import Proposal, Proposer
from adiw_tune.search.space import SpaceFile

from .made_up import Story, make, settings

ANY_STEPS = {
    name: distribution_to_json(IntDistribution(*ends))
    for name, ends in {"steps": (1, 20, True), "epochs": (3, 9)}.items()
}


def searched(story: Story, programme: Programme, spent_after: int | None = None) -> list[Run]:
    """Search trials one after the other, longer ones better, until the finale would begin.

    After ``spent_after`` of them 75 s have passed, of which a search with 100 s has 70.
    """
    while (begin := programme.next(story.history())) is not None and begin.kind == "search":
        story.begins(begin)
        epochs = begin.config["epochs"]
        story.ends(begin.trial, accuracy=0.5 + epochs / 100, work_s=float(epochs))
        history = story.history()
        if len(history.of_kind("search")) == spent_after:
            began, log = history.session_of(history.runs["t0"])["time"], story.log.path.read_text()
            story.log.path.write_text(log.replace(str(began), str(time() - 75), 1))
    return story.history().of_kind("search")


@pytest.mark.parametrize("limit", [{"patience": 9}, {"budget": "100s"}])
def test_a_search_that_ends_early_tries_baselines_with_the_best_recipe(
    tmp_path: Path, limit: dict[str, Any]
) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=60, seeds=0, baselines=True, **limit)
    tried = searched(story, programme, spent_after=15)
    assert len(tried) < 60
    weighted = [run for run in tried if run.arm not in BASELINES]
    best = max(run.config["epochs"] for run in weighted)
    for name in BASELINES:
        assert best in {run.config["epochs"] for run in tried if run.arm == name}
    assert 0 < len(tried) - 1 - tried.index(weighted[-1]) <= 3


def test_a_search_that_ends_while_it_starts_tries_the_baselines_all_the_same(
    tmp_path: Path,
) -> None:
    programme = make(tmp_path, trials=60, seeds=0, baselines=True, patience=2)
    tried = searched(Story(tmp_path), programme)
    assert len(tried) < 9
    assert {run.arm for run in tried} >= set(BASELINES)


def test_a_baseline_that_the_budget_stopped_has_the_recipe_once_there_is_more(
    tmp_path: Path,
) -> None:
    story = Story(tmp_path)
    programme = make(tmp_path, trials=60, seeds=0, baselines=True, budget="100s")
    tried = searched(story, programme, spent_after=15)
    weighted = [run for run in tried if run.arm not in BASELINES]
    best = max(run.config["epochs"] for run in weighted)
    last = max(run.number for run in weighted)
    closing = next(run for run in tried if run.number > last and run.config["epochs"] == best)
    for end in ("finished", "stopped"):
        log = story.log.path.read_text()
        line = f'"trial": "{closing.trial}", "status": "{end}"'
        if end == "stopped":
            assert log.count(line.replace("stopped", "finished")) == 1
            story.log.path.write_text(log.replace(line.replace("stopped", "finished"), line))
        begin = programme.next(story.history())
        assert isinstance(begin, Begin)
        assert (begin.kind == "search") == (end == "stopped")
    assert begin.config["method"] == closing.arm
    assert begin.config["epochs"] == best


def test_the_best_recipe_is_tried_at_a_point_that_is_feasible(tmp_path: Path) -> None:
    """The defaults of the weights are not, beside the epochs of the best trial."""
    (tmp_path / "space.py").write_text(
        "import optuna\n"
        "def space(trial):\n"
        "    steps = trial.suggest_int('steps', 1, 20, log=True)\n"
        "    epochs = trial.suggest_int('epochs', 3, 9)\n"
        "    if steps * epochs > 30:\n"
        "        raise optuna.TrialPruned('too slow')\n"
        "    return {'divergence': 'mmd', 'steps': steps, 'epochs': epochs}\n"
    )
    story = Story(tmp_path)
    space = SpaceFile(tmp_path / "space.py", seed=0)
    tried = []
    proposer = Proposer(space, 0, 60, settings().main_metric, baselines=True)
    point = {"steps": 1, "epochs": 9}
    story.begins(Begin("t0", 0, "search", None, point, point, ANY_STEPS))
    story.ends("t0", accuracy=0.9)
    while proposer.closing(history := story.history()):
        proposal = proposer.propose(history, ending=True)
        assert isinstance(proposal, Proposal)
        number = len(history.of_kind("search"))
        story.begins(Begin(f"t{number}", number, "search", None, **asdict(proposal)))
        story.ends(f"t{number}")
        tried.append((proposal.config["method"], proposal.config["epochs"]))
    assert tried == [(name, 9) for name in BASELINES]


def test_a_baseline_that_cannot_have_the_best_recipe_is_left(tmp_path: Path) -> None:
    """The space offers long trainings late, and a baseline's trials are counted by themselves."""
    story = Story(tmp_path)
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        "    divergence = trial.suggest_categorical('divergence', ['mmd', 'kl'])\n"
        "    most = 20 if trial.number >= 9 else 9\n"
        "    return {'divergence': divergence, 'epochs': trial.suggest_int('epochs', 3, most)}\n"
    )
    chosen = settings(trials=60, budget="100s", baselines=True)
    space = SpaceFile(tmp_path / "space.py", seed=0)
    programme = Programme(chosen, Proposer(space, 0, 60, chosen.main_metric, baselines=True))
    tried = searched(story, programme, spent_after=24)
    weighted = [run for run in tried if run.arm not in BASELINES]
    assert max(run.config["epochs"] for run in weighted) > 9
    after = [run.arm for run in tried[tried.index(weighted[-1]) :] if run.arm in BASELINES]
    assert set(after) == set(BASELINES)
    assert max(after.count(name) for name in BASELINES) <= 2
