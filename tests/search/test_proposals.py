from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from optuna.trial import TrialState

from adiw_tune.search.programme import Begin
from adiw_tune.search.proposals import Proposer, study_of
from adiw_tune.search.space import SpaceFile

from .made_up import SPACE, Story


def make(folder: Path, text: str = SPACE, seed: int = 0, trials: int = 40) -> Proposer:
    (folder / "space.py").write_text(text)
    return Proposer(SpaceFile(folder / "space.py", seed=0), seed, trials)


def propose(story: Story, proposer: Proposer) -> Begin:
    """The next proposal, begun."""
    history = story.history()
    number = len(history.of_kind("search"))
    begin = Begin(f"t{number}", number, "search", None, **asdict(proposer.propose(history)))
    story.begins(begin)
    return begin


def score(begin: Begin) -> tuple[float, float]:
    return 0.5 + begin.config["steps"] / 50, float(begin.config["epochs"])


def test_a_search_that_was_cut_off_proposes_what_it_would_have(tmp_path: Path) -> None:
    through, cut = tmp_path / "through", tmp_path / "cut"
    configs = {}
    for folder in (through, cut):
        folder.mkdir()
        story, proposer = Story(folder), make(folder)
        configs[folder] = []
        for number in range(18):  # beyond the sampler's random start
            if folder is cut:
                proposer = make(folder)  # nothing but the log is left
            begin = propose(story, proposer)
            accuracy, work_s = score(begin)
            story.ends(begin.trial, "pruned" if number % 5 == 4 else "finished", accuracy, work_s)
            configs[folder].append(begin.config)
    assert configs[cut] == configs[through]
    assert len({str(config) for config in configs[cut]}) > 10


def test_another_seed_proposes_otherwise(tmp_path: Path) -> None:
    story = Story(tmp_path)
    for number in range(4):
        story.trial(number)
    history = story.history()
    one, two = (make(tmp_path, seed=seed).propose(history) for seed in (0, 1))
    assert one != two


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("finished", TrialState.COMPLETE),
        ("pruned", TrialState.PRUNED),
        ("stopped", TrialState.PRUNED),
        ("failed", TrialState.PRUNED),
    ],
)
def test_optuna_is_told_how_a_trial_ended(tmp_path: Path, status: str, state: TrialState) -> None:
    story = Story(tmp_path)
    propose(story, make(tmp_path))
    begin = propose(story, make(tmp_path))
    story.ends("t0", status, 0.99, 0.1, epochs=2)  # a short cost and a high accuracy
    study = study_of(story.history().of_kind("search"))
    assert [trial.state for trial in study.trials] == [state, TrialState.RUNNING]
    assert study.trials[1].params == begin.params
    if status == "finished":
        assert study.trials[0].values == [0.99, 0.1]
    assert [trial.number for trial in study.best_trials] == [0] * (status == "finished")


def test_a_search_begins_with_each_divergence_by_its_defaults(tmp_path: Path) -> None:
    text = SPACE.replace('["mmd", "kl"]', '["kl", "mmd", "wasserstein"]')
    story, proposer = Story(tmp_path), make(tmp_path, text)
    first = [propose(story, proposer).config for _ in range(3)]
    assert [config["divergence"] for config in first] == ["mmd", "kl", "wasserstein"]
    assert [config["steps"] for config in first] == [5, 5, 5]
    assert len({config["epochs"] for config in first}) > 1


def test_none_loses_for_want_of_being_tried(tmp_path: Path) -> None:
    """kl is far behind, and still gets half of its even share."""
    trials = 32
    story, proposer = Story(tmp_path), make(tmp_path, trials=trials)
    tried: Counter[str] = Counter()
    for _ in range(trials):
        begin = propose(story, proposer)
        behind = begin.config["divergence"] == "kl"
        tried[begin.config["divergence"]] += 1
        story.ends(begin.trial, "finished", 0.2 if behind else 0.9, 9.0 if behind else 1.0)
    assert tried["kl"] >= trials // 4
    assert tried["mmd"] > tried["kl"]


def test_one_that_always_fails_is_left_after_its_floor(tmp_path: Path) -> None:
    trials = 32
    story, proposer = Story(tmp_path), make(tmp_path, trials=trials)
    tried: Counter[str] = Counter()
    for _ in range(trials):
        begin = propose(story, proposer)
        tried[begin.config["divergence"]] += 1
        if begin.config["divergence"] == "kl":
            story.ends(begin.trial, "failed", epochs=0)
        else:
            story.ends(begin.trial, "finished", *score(begin))
    assert trials // 4 <= tried["kl"] < trials // 2


def test_where_the_method_is_the_choice_each_is_tried(tmp_path: Path) -> None:
    text = SPACE.replace('"divergence"', '"method"').replace('["mmd", "kl"]', '["adiw", "erm"]')
    story, proposer = Story(tmp_path), make(tmp_path, text, trials=16)
    tried: list[str] = []
    for _ in range(16):
        begin = propose(story, proposer)
        behind = begin.config["method"] == "erm"
        tried.append(begin.config["method"])
        story.ends(begin.trial, "finished", 0.2 if behind else 0.9, 9.0 if behind else 1.0)
    assert tried[:2] == ["adiw", "erm"]
    assert tried.count("erm") >= 4


def test_a_space_without_a_choice_of_divergence_is_proposed_from_too(tmp_path: Path) -> None:
    text = "def space(trial):\n    return {'steps': trial.suggest_int('steps', 1, 9)}\n"
    story, proposer = Story(tmp_path), make(tmp_path, text)
    assert len({propose(story, proposer).config["steps"] for _ in range(9)}) > 2
