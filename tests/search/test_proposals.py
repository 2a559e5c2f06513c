from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from optuna.trial import TrialState

from adiw_tune.divergences import DEFAULT_BANDWIDTHS
from adiw_tune.errors import UserError
from adiw_tune.metrics import METRICS
from adiw_tune.search import proposals
from adiw_tune.search.programme import Begin
from adiw_tune.search.proposals import Proposer, looked_at, study_of
from adiw_tune.search.space import SpaceFile

from .made_up import ODD, SPACE, Story


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


def test_values_of_other_classes_are_recorded_as_plain_ones_and_drawn_as_they_are(
    tmp_path: Path,
) -> None:
    text = f"""{ODD}
def space(trial):
    size = trial.suggest_categorical("steps", list(Size))
    name = trial.suggest_categorical("divergence", list(Name))
    other = trial.suggest_categorical("other", [Number(0.25), Word("more"), None, True])
    values = {{"steps": Size[size.name], "divergence": Name[name.name], "epochs": Size.FEW}}
    return {{**values, Word("step_size"): Number(0.5)}}
"""
    story, proposer = Story(tmp_path), make(tmp_path, text)
    met = set()
    for number in range(16):
        if number == 8:
            proposer = make(tmp_path, text)  # nothing but the log is left
        begin = propose(story, proposer)
        suggested = {name: begin.params[name] for name in ("steps", "divergence")}
        values = {**suggested, "epochs": 3, "step_size": 0.5}
        assert [repr(begin.config[name]) for name in values] == [*map(repr, values.values())]
        assert repr(story.history().runs[begin.trial].params) == repr(begin.params)
        met |= {repr(value) for value in begin.params.values()}
        story.ends(begin.trial)
    assert met == {"3", "4", "'kl'", "'mmd'", "0.25", "'more'", "None", "True"}


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


def test_optuna_is_to_make_a_metric_small_of_which_less_is_better(tmp_path: Path) -> None:
    story, loss = Story(tmp_path), METRICS["log_loss"]
    for number, value in enumerate((0.9, 0.2, 0.5)):
        story.trial(number, metric=loss.name, accuracy=value, work_s=1.0 + number)
    runs = story.history(loss).of_kind("search")
    study = study_of(runs, loss)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert [trial.values for trial in study.trials] == [[0.9, 1.0], [0.2, 2.0], [0.5, 3.0]]
    assert sorted(trial.number for trial in study.best_trials) == [0, 1]


def test_a_search_begins_with_each_divergence_by_its_defaults(tmp_path: Path) -> None:
    text = SPACE.replace('["mmd", "kl"]', '["kl", "mmd", "wasserstein"]')
    story, proposer = Story(tmp_path), make(tmp_path, text)
    first = [propose(story, proposer).config for _ in range(3)]
    assert [config["divergence"] for config in first] == ["mmd", "kl", "wasserstein"]
    assert [config["steps"] for config in first] == [5, 5, 5]
    assert len({config["epochs"] for config in first}) > 1


@pytest.mark.parametrize(
    ("asked", "begun"),
    [
        ('suggest_int("steps", 2, 10, step=2)', 6),
        ('suggest_int("steps", 1, 3)', 3),
        ('suggest_int("steps", 8, 20, log=True)', 8),
        ('suggest_int("steps", 4, 4)', 4),
        ('suggest_categorical("steps", [2, 5, 7])', 5),
    ],
)
def test_starting_points_are_points_of_the_space(tmp_path: Path, asked: str, begun: int) -> None:
    text = SPACE.replace('suggest_int("steps", 1, 20, log=True)', asked)
    story, proposer = Story(tmp_path), make(tmp_path, text)
    for divergence in ("mmd", "kl"):
        begin = propose(story, proposer)
        assert (begin.config["divergence"], begin.config["steps"]) == (divergence, begun)
    study_of(story.history().of_kind("search"))


def test_starting_points_fit_the_range_of_their_branch(tmp_path: Path) -> None:
    ranged = '"steps", *((1, 3) if divergence == "mmd" else (7, 9))'
    text = (
        "def space(trial):\n"
        '    divergence = trial.suggest_categorical("divergence", ["mmd", "kl"])\n'
        f'    values = {{"divergence": divergence, "steps": trial.suggest_int({ranged})}}\n'
        '    values["step_size"] = trial.suggest_float("step_size", 0.1, 1.6, step=0.25)\n'
        '    return {**values, "decay": trial.suggest_categorical("decay", [0.1, 0.9])}\n'
    )
    story, proposer = Story(tmp_path), make(tmp_path, text)
    first = [propose(story, proposer).config for _ in range(2)]
    assert [config["steps"] for config in first] == [3, 7]
    assert [config["step_size"] for config in first] == pytest.approx([1.1, 1.1])
    assert {config["decay"] for config in first} <= {0.1, 0.9}  # its default is no choice


@pytest.mark.parametrize(
    ("representation", "begun"),
    [
        ('"loss"', DEFAULT_BANDWIDTHS["loss"]),
        ('"feature"', DEFAULT_BANDWIDTHS["feature"]),
        ('trial.suggest_categorical("r", ["feature"])', DEFAULT_BANDWIDTHS["feature"]),
        ('trial.suggest_categorical("representation", ["feature", "loss"])', 1.0),
    ],
)
def test_starting_points_have_the_bandwidth_of_their_representation(
    tmp_path: Path, representation: str, begun: float
) -> None:
    text = (
        "def space(trial):\n"
        '    return {"divergence": trial.suggest_categorical("divergence", ["mmd", "kl"]),\n'
        f'            "representation": {representation},\n'
        '            "bandwidth": trial.suggest_float("bandwidth", 0.01, 3, log=True)}\n'
    )
    story, proposer = Story(tmp_path), make(tmp_path, text)
    for _ in range(2):
        assert propose(story, proposer).config["bandwidth"] == pytest.approx(begun)


BY_OTHER_NAMES = {
    "named": """
def space(trial):
    kind = trial.suggest_categorical("kind", ["first", "second"])
    return {"divergence": {"first": "mmd", "second": "kl"}[kind], %s}
""",
    "by branch": """
def space(trial):
    if trial.suggest_categorical("family", ["kernel", "none"]) == "kernel":
        divergence = trial.suggest_categorical("of_kernel", ["mmd", "squared"])
    else:
        divergence = trial.suggest_categorical("of_none", ["kl", "energy"])
    return {"divergence": divergence, %s}
""",
    "by number": """
def space(trial):
    return {"divergence": ("mmd", "kl")[trial.suggest_int("which", 0, 1)], %s}
""",
}


@pytest.mark.parametrize("text", BY_OTHER_NAMES.values(), ids=BY_OTHER_NAMES)
def test_the_divergence_has_its_start_and_floor_by_whatever_name(tmp_path: Path, text: str) -> None:
    text %= '"steps": trial.suggest_int("steps", 1, 9), "epochs": trial.suggest_int("epochs", 1, 9)'
    trials = 32
    story, proposer = Story(tmp_path), make(tmp_path, text, trials=trials)
    tried: list[str] = []
    for _ in range(trials):
        begin = propose(story, proposer)
        tried.append(begin.config["divergence"])
        behind = tried[-1] == "kl"
        if len(set(tried)) == len(tried):
            assert begin.config["steps"] == 5
        story.ends(begin.trial, "finished", 0.2 if behind else 0.9, 9.0 if behind else 1.0)
    arms = len(set(tried))
    assert len(set(tried[:arms])) == arms
    assert tried.count("kl") >= trials // (2 * arms)


def test_a_name_that_is_no_field_is_proposed_and_recorded(tmp_path: Path) -> None:
    text = (
        "def space(trial):\n"
        '    exponent = trial.suggest_float("lr_exponent", -4, -1)\n'
        '    return {"learning_rate": 10**exponent}\n'
    )
    begin = propose(Story(tmp_path), make(tmp_path, text))
    assert begin.config["learning_rate"] == 10 ** begin.params["lr_exponent"]
    assert "lr_exponent" not in begin.config


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


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "IntDistribution", "attributes": {}}',
        '{"name": "IntDistribution", "attributes": {"low": "x", "high": 5}}',
        '{"name": "IntDistribution", "attributes": {"low": 1',
        '{"name": "NoDistribution", "attributes": {"low": 1, "high": 5}}',
        '{"name": "CategoricalDistribution", "attributes": {"choices": 5}}',
    ],
)
def test_a_damaged_distribution_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    story = Story(tmp_path)
    story.begins(Begin("t0", 0, "search", None, {}, {"steps": 5}, {"steps": text}))
    with pytest.raises(UserError, match="damaged: run t0 has no distribution of Optuna's for 'st"):
        make(tmp_path).propose(story.history())


@pytest.mark.parametrize("value", ["five", None, [5], {"a": 1}, True, 1e300, float("nan")])
def test_a_damaged_value_is_left_out_of_what_optuna_is_told(tmp_path: Path, value: object) -> None:
    story = Story(tmp_path)
    text = '{"name": "IntDistribution", "attributes": {"low": 2, "high": 10, "step": 2}}'
    begun = Begin("t0", 0, "search", None, {}, {"steps": value}, {"steps": text, "gone": text})
    story.begins(begun)
    assert make(tmp_path).propose(story.history())
    (told,) = study_of(story.history().proposed).trials
    assert told.params.keys() <= {"steps"}
    assert all(2 <= inside <= 10 for inside in told.params.values())
