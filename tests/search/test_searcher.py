from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import ConcurrencyLimiter, Searcher

from adiw_tune.search.record import EventLog
from adiw_tune.search.searcher import TradeoffSearch
from adiw_tune.search.space import SpaceFile

SPACE = """
def space(trial):
    return {
        "epochs": trial.suggest_int("epochs", 3, 3),
        "step_size": trial.suggest_float("step_size", 0.1, 1.5),
    }
"""


def make(folder: Path, trials: int = 100) -> TradeoffSearch:
    (folder / "space.py").write_text(SPACE)
    space = SpaceFile(folder / "space.py", seed=0)
    return TradeoffSearch(space, 0, trials, EventLog(folder / "events.jsonl"))


def result(accuracy: Any = 0.8, train_seconds: Any = 2.0, epoch: int = 3) -> dict[str, Any]:
    values = {"accuracy": accuracy, "train_seconds": train_seconds, "epoch": epoch}
    return {**values, "config/epochs": 3}


def study(searcher: TradeoffSearch) -> optuna.Study:
    return searcher._ot_study


def states(searcher: TradeoffSearch) -> list[TrialState]:
    return [trial.state for trial in study(searcher).trials]


def test_a_trial_that_ran_its_course_is_complete_with_both_values(tmp_path: Path) -> None:
    searcher = make(tmp_path)
    assert searcher.suggest("a")["epochs"] == 3
    assert states(searcher) == [TrialState.RUNNING]
    searcher.on_trial_complete("a", result(0.75, 4.0))
    assert states(searcher) == [TrialState.COMPLETE]
    assert study(searcher).trials[0].values == [0.75, 4.0]
    directions = [direction.name for direction in study(searcher).directions]
    assert directions == ["MAXIMIZE", "MINIMIZE"]


@pytest.mark.parametrize(
    "end",
    [
        {"result": result(float("nan"))},
        {"result": result(float("inf"))},
        {"result": result(0.8, float("nan"))},
        {"result": result(None)},
        {"result": result("0.8")},
        {"result": {"epoch": 3, "config/epochs": 3}},
        {"result": {}},
        {"result": None},
        {"error": True},
        {"result": result(), "error": True},
    ],
    ids=str,
)
def test_a_trial_without_finite_values_failed_and_does_not_stay_running(
    tmp_path: Path, end: dict[str, Any]
) -> None:
    searcher = make(tmp_path)
    searcher.suggest("a")
    searcher.on_trial_complete("a", **end)
    assert states(searcher) == [TrialState.FAIL]


def test_a_trial_stopped_early_is_pruned_and_not_among_the_best(tmp_path: Path) -> None:
    searcher = make(tmp_path)
    for trial in ("stub", "whole"):
        searcher.suggest(trial)
    searcher.on_trial_complete("stub", result(0.99, 0.1, epoch=2))
    searcher.on_trial_complete("whole", result(0.80, 5.0))
    assert states(searcher) == [TrialState.PRUNED, TrialState.COMPLETE]
    assert [trial.number for trial in study(searcher).best_trials] == [1]


def test_a_saved_searcher_goes_on_where_it_stood(tmp_path: Path) -> None:
    searcher = make(tmp_path)
    for number in range(12):  # beyond the sampler's random start
        searcher.suggest(str(number))
        searcher.on_trial_complete(str(number), result(0.5 + number / 100, 1.0 + number))
    searcher.suggest("open")
    searcher.save(str(tmp_path / "state.pkl"))
    restored = make(tmp_path)
    restored.restore(str(tmp_path / "state.pkl"))
    assert states(restored) == [TrialState.COMPLETE] * 12 + [TrialState.RUNNING]
    restored.on_trial_complete("open", result())
    assert states(restored)[-1] == TrialState.COMPLETE
    assert restored.suggest("next")["step_size"] > 0
    assert len(states(restored)) == 14


def test_one_seed_proposes_alike(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path)
    assert [first.suggest(str(i)) for i in range(5)] == [second.suggest(str(i)) for i in range(5)]


def test_no_more_are_proposed_than_wanted(tmp_path: Path) -> None:
    searcher = make(tmp_path, trials=2)
    assert [searcher.suggest(trial) == Searcher.FINISHED for trial in "abc"] == [False, False, True]
    assert len(states(searcher)) == 2


def test_a_trial_that_only_the_events_know_counts_once_it_has_ended(tmp_path: Path) -> None:
    events = [{"event": "trial", "trial": t} for t in "abx"] + [
        {"event": "end", "trial": t} for t in "ax"
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    searcher = ConcurrencyLimiter(make(tmp_path, trials=3), max_concurrent=5)
    assert isinstance(searcher.suggest("a"), dict)
    assert isinstance(searcher.suggest("b"), dict)
    assert searcher.suggest("c") == Searcher.FINISHED


def test_a_search_begins_with_each_divergence_by_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        "    names = ['kl', 'mmd', 'wasserstein']\n"
        "    values = {'divergence': trial.suggest_categorical('divergence', names)}\n"
        "    values['steps'] = trial.suggest_int('steps', 1, 20)\n"
        "    values['step_size'] = trial.suggest_float('step_size', 0.1, 0.5)\n"
        "    values['epochs'] = trial.suggest_int('epochs', 1, 100)\n"
        "    return values\n"
    )
    space = SpaceFile(tmp_path / "space.py", seed=0)
    searcher = TradeoffSearch(space, 0, 100, EventLog(tmp_path / "events.jsonl"))
    first = [searcher.suggest(name) for name in "abc"]
    assert [config["divergence"] for config in first] == ["mmd", "kl", "wasserstein"]
    assert [config["steps"] for config in first] == [5, 5, 5]
    assert all(0.1 <= config["step_size"] <= 0.5 for config in first)  # the default, 1, is outside
    assert len({config["epochs"] for config in first}) > 1


def test_a_search_begins_with_auto_and_ones_own_too_where_they_are_choices(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from adiw_tune.divergences import MMD\nDIVERGENCE = MMD(2)\n")
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        f"    names = ['auto', '{tmp_path}/own.py', 'pearson', 'mmd']\n"
        "    values = {'divergence': trial.suggest_categorical('divergence', names)}\n"
        "    if values['divergence'] in ('mmd', 'pearson'):\n"
        "        values['bandwidth'] = trial.suggest_float('bandwidth', 0.1, 1.5)\n"
        "    return values\n"
    )
    space = SpaceFile(tmp_path / "space.py", seed=0)
    searcher = TradeoffSearch(space, 0, 100, EventLog(tmp_path / "events.jsonl"))
    first = [searcher.suggest(name) for name in "abcd"]
    assert [config["divergence"] for config in first] == [
        "mmd", "pearson", "auto", f"{tmp_path}/own.py",
    ]  # fmt: skip
    assert [config["bandwidth"] for config in first] == [1.0, 1.0, None, None]


def test_a_space_without_a_choice_of_divergence_has_no_starting_points(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    assert SpaceFile(tmp_path / "space.py", seed=0).starting_points() == []
