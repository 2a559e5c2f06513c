"""Plain training beside a space: what is tried, when, and what is recorded of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.arms import BASELINES, arm
from adiw_tune.search.baselines import Baselines, as_baseline
from adiw_tune.search.programme import Begin
from adiw_tune.search.proposals import Infeasible, Proposal, Proposer, study_of
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import draw
from adiw_tune.training import TrialConfig
from adiw_tune.training.config import with_changes, with_recipe

from .made_up import Story

SPACE = """
def space(trial):
    divergence = trial.suggest_categorical("divergence", ["mmd", "kl"])
    return {
        "divergence": divergence,
        "steps": trial.suggest_int("steps", 1, 20, log=True),
        "epochs": trial.suggest_int("how long", 3, 90),
        "learning_rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        "reference_weight": trial.suggest_categorical("reference_weight", [0.0, 0.1, 7.0]),
        "bandwidth": trial.suggest_float("width", 0.1, 1.5),
    }
"""
OF_PLAIN = {"how long", "rate"}  # parameters that make a difference to plain training


IN_A_BRANCH = """
def space(trial):
    optimizer = trial.suggest_categorical("optimizer", ["adam", "adamw", "sgd"])
    momentum = trial.suggest_float("sgd_momentum", 0.5, 0.95)
    return {
        "divergence": trial.suggest_categorical("divergence", ["mmd", "kl"]),
        "optimizer": optimizer,
        **({"momentum": momentum} if optimizer == "sgd" else {}),
    }
"""


def made(folder: Path, text: str = SPACE, trials: int = 24, baselines: bool = True) -> Proposer:
    (folder / "space.py").write_text(text)
    return Proposer(SpaceFile(folder / "space.py", seed=0), 0, trials, baselines=baselines)


def baselines_of(folder: Path, text: str = SPACE) -> Baselines:
    (folder / "space.py").write_text(text)
    space = SpaceFile(folder / "space.py", seed=0)
    return Baselines(space, draw(space))


def begun(story: Story, proposal: Proposal) -> Begin:
    number = len(story.history().of_kind("search"))
    begin = Begin(f"t{number}", number, "search", None, **asdict(proposal))
    story.log.append("trial", **begin.__dict__)
    return begin


def searched(folder: Path, proposer: Proposer, trials: int) -> list[Begin]:
    """So many trials, each of which ends before the next begins; longer ones are better."""
    story, found = Story(folder), []
    for _ in range(trials):
        proposal = proposer.propose(story.history())
        assert isinstance(proposal, Proposal)
        begin = begun(story, proposal)
        epochs = begin.config["epochs"]
        story.ends(begin.trial, accuracy=0.5 + epochs / 200, work_s=float(epochs), epochs=1)
        found.append(begin)
    return found


def test_a_parameter_that_counts_in_a_branch_alone_is_found(tmp_path: Path) -> None:
    params = {"optimizer": "sgd", "sgd_momentum": 0.93, "divergence": "mmd"}
    for name in BASELINES:
        recipe = baselines_of(tmp_path, IN_A_BRANCH).recipe_of(params, name)
        assert {n: recipe[n] for n in ("optimizer", "sgd_momentum")} == {
            "optimizer": "sgd", "sgd_momentum": 0.93,
        }  # fmt: skip


@pytest.mark.parametrize("choices", [[0.0, 0.1], [0.3], [0.0]])
def test_pooled_is_searched_by_its_weight_where_the_spaces_own_makes_no_difference(
    tmp_path: Path, choices: list[float]
) -> None:
    text = SPACE.replace("[0.0, 0.1, 7.0]", str(choices))
    begun = searched(tmp_path, made(tmp_path, text, trials=60), 60)
    weights = {one.config["reference_weight"] for one in begun if arm(one.config) == "pooled"}
    assert len(weights) > 1
    assert {one.config["reference_weight"] for one in begun if arm(one.config) == "mmd"} <= {
        *choices
    }


def test_pooled_is_searched_by_its_weight_beside_the_size_of_its_mini_batches(
    tmp_path: Path,
) -> None:
    size = '"reference_batch_size": trial.suggest_int("size", 8, 64)'
    text = SPACE.replace(
        '"reference_weight": trial.suggest_categorical("reference_weight", [0.0, 0.1, 7.0])', size
    )
    begun = searched(tmp_path, made(tmp_path, text, trials=30), 30)
    pooled = [one.config for one in begun if arm(one.config) == "pooled"]
    assert len({one["reference_weight"] for one in pooled}) > 1
    assert len({one["reference_batch_size"] for one in pooled}) > 1


@pytest.mark.parametrize("name", BASELINES)
def test_beside_a_summed_loss_a_baseline_has_the_rate_of_its_mean(name: str) -> None:
    given = {"recipe": "diw", "batch_size": 64, "epochs": 3}
    point = TrialConfig.from_mapping(with_recipe({**given, "method": "diw-published"})).as_dict()
    plain = TrialConfig.from_mapping(with_recipe({**given, "method": name}))
    found = TrialConfig.from_mapping(as_baseline(name, point))
    assert found.learning_rate == pytest.approx(plain.learning_rate)
    assert found.weight_decay == pytest.approx(plain.weight_decay)
    changed = TrialConfig.from_mapping(with_changes(point, {"method": name}))
    assert changed.learning_rate == pytest.approx(plain.learning_rate)
    back = TrialConfig.from_mapping(with_changes(changed.as_dict(), {"method": "diw-published"}))
    assert back.learning_rate == pytest.approx(point["learning_rate"])


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_data_and_recipe_of_its_point_and_no_weights(name: str) -> None:
    point = TrialConfig(
        task="digits", shift="pair:0.3", divergence="kl", bandwidth=0.3, steps=9, warmup_epochs=4,
        epochs=11, learning_rate=0.02, optimizer="sgd", momentum=0.5, reference_weight=7.0,
        reference_batch_size=32, seed=5,
    ).as_dict()  # fmt: skip
    config = TrialConfig.from_mapping(as_baseline(name, point))
    assert arm(config.as_dict()) == config.method == name
    for field in ("task", "shift", "epochs", "learning_rate", "optimizer", "momentum", "seed"):
        assert getattr(config, field) == point[field]
    plain = TrialConfig()
    for field in ("divergence", "bandwidth", "steps", "warmup_epochs"):
        assert getattr(config, field) == getattr(plain, field)
    assert config.reference_weight == (7.0 if name == "pooled" else 0.0)
    assert config.reference_batch_size == (32 if name == "pooled" else 256)


@pytest.mark.parametrize("weight", [0.0, None])
def test_pooled_trains_on_the_reference_rows_whatever_the_point_says(weight: float | None) -> None:
    point = {**TrialConfig().as_dict(), "reference_weight": weight}
    assert as_baseline("pooled", point)["reference_weight"] == 0.1


def test_parameters_about_weights_make_no_difference_to_plain_training(tmp_path: Path) -> None:
    found = baselines_of(tmp_path)
    suggested = dict.fromkeys(
        ("divergence", "steps", "how long", "rate", "reference_weight", "width"), 1
    )
    for name in ("erm", "clean-only"):
        assert set(found.told(suggested, name)) == OF_PLAIN
        assert set(found.fixed(name)).isdisjoint(OF_PLAIN)
    assert set(found.told(suggested, "pooled")) == {*OF_PLAIN, "reference_weight"}


@pytest.mark.parametrize("told", [None, 0.0, 5.0])
def test_pooled_is_searched_by_its_own_weight_where_the_space_does_not(
    tmp_path: Path, told: float | None
) -> None:
    line = next(line for line in SPACE.splitlines() if "reference_weight" in line)
    text = SPACE.replace(line, f'        "reference_weight": {told},')
    trials = searched(tmp_path, made(tmp_path, text, trials=40), 40)
    pooled = [one for one in trials if arm(one.config) == "pooled"]
    weights = [one.config["reference_weight"] for one in pooled]
    assert weights[0] == 0.1
    assert len(set(weights)) > 1
    for one in pooled:
        assert one.params.keys() == one.distributions.keys() == {*OF_PLAIN, "reference_weight"}
        assert one.params["reference_weight"] == one.config["reference_weight"]


def test_a_divergence_that_settles_the_rate_makes_one(tmp_path: Path) -> None:
    text = SPACE.replace('"rate"', 'divergence + "\'s rate"')
    found = baselines_of(tmp_path, text)
    assert set(found.told({"divergence": "kl", "kl's rate": 1, "mmd's rate": 1}, "erm")) == {
        "divergence", "kl's rate", "mmd's rate",
    }  # fmt: skip


def test_baselines_start_in_turns_with_the_divergences(tmp_path: Path) -> None:
    first = searched(tmp_path, made(tmp_path), 5)
    assert [arm(one.config) for one in first] == ["mmd", "erm", "kl", "pooled", "clean-only"]
    assert [one.config["reference_weight"] for one in first] == [0.1, 0.0, 0.1, 0.1, 0.0]
    for one in first:
        assert TrialConfig.from_mapping(one.config).as_dict() == one.config


def test_in_a_space_of_one_arm_they_start_after_it(tmp_path: Path) -> None:
    text = SPACE.replace('["mmd", "kl"]', '["energy"]').replace('"bandwidth"', "'cap'")
    text = text.replace("0.1, 1.5", "2.0, 9.0")
    first = searched(tmp_path, made(tmp_path, text), 6)
    expected = ["energy", "erm", "pooled", "clean-only", "erm", "energy"]
    assert [arm(one.config) for one in first] == expected


def test_the_last_trials_have_the_recipe_of_the_best_weighted_one(tmp_path: Path) -> None:
    trials = searched(tmp_path, made(tmp_path), 24)
    assert [arm(one.config) for one in trials[-3:]] == list(BASELINES)
    weighted = [one for one in trials if arm(one.config) not in BASELINES]
    best = max(weighted, key=lambda one: one.config["epochs"])
    for one in trials[-3:]:
        for field in ("epochs", "learning_rate"):
            assert one.config[field] == best.config[field]


def test_more_trials_are_for_weights_where_the_baselines_have_had_the_best_recipe(
    tmp_path: Path,
) -> None:
    text = SPACE.replace('trial.suggest_int("how long", 3, 90)', "9")  # the best is the first
    text = text.replace('trial.suggest_float("rate", 1e-4, 1e-1, log=True)', "0.01")
    searched(tmp_path, made(tmp_path, text), 24)
    for trials in (25, 26):  # each is the last trial, of one extension after the other
        (last,) = searched(tmp_path, made(tmp_path, text, trials=trials), 1)
        assert arm(last.config) not in BASELINES


def test_each_arm_has_its_floor_and_the_rest_is_for_weights(tmp_path: Path) -> None:
    trials = searched(tmp_path, made(tmp_path, trials=40), 40)
    counts = Counter(arm(one.config) for one in trials)
    floor = 40 // (2 * 5)
    assert {name: counts[name] for name in BASELINES} == dict.fromkeys(BASELINES, floor)
    assert min(counts["mmd"], counts["kl"]) >= floor


def test_a_baseline_records_what_made_a_difference_and_is_read_back(tmp_path: Path) -> None:
    searched(tmp_path, made(tmp_path), 24)
    history = Story(tmp_path).history()
    for run in history.of_kind("search"):
        if run.arm in BASELINES:
            assert run.params.keys() == run.distributions.keys()
            expected = {*OF_PLAIN, "reference_weight"} if run.arm == "pooled" else OF_PLAIN
            assert run.params.keys() == expected
        assert len(study_of([run]).trials[0].params) == len(run.params)


def test_what_is_tried_of_weights_does_not_hang_on_the_baselines(tmp_path: Path) -> None:
    """Up to the sampler's seed, which counts all trials: the study has the weighted ones alone."""
    proposer = made(tmp_path)
    searched(tmp_path, proposer, 9)
    shown = [trial.params for trial in proposer._mirror._study.get_trials(deepcopy=False)]
    assert shown
    assert all("divergence" in params for params in shown)


def test_a_search_that_was_cut_off_goes_on_as_it_would_have(tmp_path: Path) -> None:
    through, cut = tmp_path / "through", tmp_path / "cut"
    found: dict[Path, list[dict[str, Any]]] = {}
    for folder in (through, cut):
        folder.mkdir()
        story, proposer, found[folder] = Story(folder), made(folder), []
        for _ in range(24):
            if folder is cut:
                proposer = made(folder)  # nothing but the log is left
            proposal = proposer.propose(story.history())
            assert isinstance(proposal, Proposal)
            begin = begun(story, proposal)
            story.ends(begin.trial, accuracy=0.8, work_s=float(begin.config["epochs"]), epochs=1)
            found[folder].append(begin.config)
    assert found[cut] == found[through]


def test_a_baseline_that_the_space_has_is_left_to_it(tmp_path: Path) -> None:
    text = """
def space(trial):
    method = trial.suggest_categorical("method", ["adiw", "erm"])
    return {"method": method, "epochs": trial.suggest_int("epochs", 3, 9), "reference_weight": 0.0}
"""
    assert baselines_of(tmp_path, text).names == ["pooled", "clean-only"]
    trials = searched(tmp_path, made(tmp_path, text), 12)
    own = [one for one in trials if arm(one.config) == "erm"]
    assert own
    assert all("method" in one.params for one in own)


def test_a_space_that_calls_the_defaults_infeasible_is_searched_all_the_same(
    tmp_path: Path,
) -> None:
    text = SPACE.replace(
        "    return {",
        "    import optuna\n"
        '    if trial.suggest_int("steps", 1, 20, log=True) == 5:\n'
        '        raise optuna.TrialPruned("five steps")\n'
        "    return {",
    )
    story, proposer = Story(tmp_path), made(tmp_path, text)
    for _ in range(80):
        made_up = proposer.propose(story.history())
        if isinstance(made_up, Infeasible):
            number = len(story.history().skipped) + 1
            story.log.append("skipped", number=number, **asdict(made_up))
            continue
        begin = begun(story, made_up)
        story.ends(begin.trial, accuracy=0.8, work_s=3.0, epochs=1)
        if begin.number == 23:
            break
    assert begin.number == 23
    assert not story.history().given_up


def test_without_baselines_none_is_tried(tmp_path: Path) -> None:
    trials = searched(tmp_path, made(tmp_path, baselines=False), 24)
    assert {arm(one.config) for one in trials} == {"mmd", "kl"}
