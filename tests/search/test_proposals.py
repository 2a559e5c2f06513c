from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from optuna.trial import TrialState

from adiw_tune.search import proposals
from adiw_tune.search.programme import Begin
from adiw_tune.search.proposals import Proposer, looked_at, study_of
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


@pytest.mark.parametrize("looked_at", [500, 4])
def test_a_search_that_was_cut_off_proposes_what_it_would_have(
    tmp_path: Path, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "_LOOKED_AT", looked_at)
    monkeypatch.setattr(proposals, "_LEFT_OUT_AT_ONCE", looked_at // 2)
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


def test_trials_that_end_in_another_order_than_they_began_are_told_as_they_end(
    tmp_path: Path,
) -> None:
    """As with several workers; and a point that was asked for and never begun leaves no trace."""
    story, proposer = Story(tmp_path), make(tmp_path)
    for number in range(14):
        proposer.propose(story.history())
        fresh = make(tmp_path).propose(story.history())
        begin = propose(story, proposer)
        assert begin.config == fresh.config
        if number >= 3:  # four run at once, and the first ends last
            ended = f"t{number - 2}"
            story.ends(ended, ("finished", "pruned", "failed")[number % 3], *score(begin))


def test_of_a_long_search_those_that_ended_long_ago_count_by_their_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "_LOOKED_AT", 4)
    monkeypatch.setattr(proposals, "_LEFT_OUT_AT_ONCE", 2)
    story, proposer = Story(tmp_path), make(tmp_path)
    accuracies = [0.5, 0.9, 0.6, 0.7, 0.8, 0.7, 0.6, 0.5]
    for _ in range(10):
        propose(story, proposer)
    for number, accuracy in list(enumerate(accuracies))[::-1]:  # t7 ends first, t0 last
        story.ends(f"t{number}", accuracy=accuracy, work_s=1.0 + number)
    seen = [run.trial for run in looked_at(story.history().of_kind("search"))]
    # Of t7 to t4, which ended first, t4 is better than the others; t8 and t9 run.
    assert seen == ["t0", "t1", "t2", "t3", "t4", "t8", "t9"]


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
