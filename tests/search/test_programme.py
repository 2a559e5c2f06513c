from __future__ import annotations

from pathlib import Path
from time import time

import pytest

from adiw_tune.metrics import METRICS
from adiw_tune.search.programme import Begin, Programme
from adiw_tune.training import TrialConfig

from .made_up import Story, make


def all_left(story: Story, programme: Programme) -> list[str]:
    """Runs that could begin now, begun one after the other until there is none."""
    begun = []
    while (begin := programme.next(story.history())) is not None:
        story.begins(begin)
        begun.append(begin.trial)
    return begun


def whole(story: Story, programme: Programme, accuracy: dict[str, float]) -> list[str]:
    """Every run to the end, all that can run at once before any ends."""
    order = []
    while begun := all_left(story, programme):
        order += begun
        for trial in begun:
            run = story.history().runs[trial]
            story.ends(trial, accuracy=accuracy[run.arm] + 0.001 * run.config["seed"] % 0.01)
    return order


def test_trials_then_seeds_then_timing_then_the_winner(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=4, seeds=3)
    assert all_left(story, programme) == ["t0", "t1", "t2", "t3"]
    assert programme.next(story.history()) is None
    assert not programme.over(story.history())
    for trial, accuracy in (("t0", 0.8), ("t1", 0.7), ("t2", 0.6), ("t3", 0.5)):
        story.ends(trial, accuracy=accuracy)
    picks = {run.arm: run.trial for run in reversed([*story.history().runs.values()])}
    expected = {f"{pick}-seed{seed}" for pick in picks.values() for seed in range(3)}
    order = whole(story, programme, {"mmd": 0.8, "kl": 0.8})
    assert set(order[:6]) == expected
    assert order[6:8] == [f"{pick}-retime" for pick in sorted(picks.values())]
    assert order[8].endswith("-winner")
    assert programme.over(story.history())


def test_seeds_are_paired_and_no_repeat_of_the_trial(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=2)
    whole(story, programme, {"mmd": 0.8, "kl": 0.8})
    runs = story.history().runs
    assert runs["t0-seed1"].config["seed"] == runs["t1-seed1"].config["seed"]
    seeds = [runs[f"t0-seed{seed}"].config["seed"] for seed in range(2)]
    assert len({*seeds, runs["t0"].config["seed"]}) == 3


def test_seeds_are_paired_where_the_space_chooses_seeds(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=1)
    for number, divergence in enumerate(("mmd", "kl")):
        config = {**TrialConfig.defaults(), "divergence": divergence, "epochs": 3, "seed": number}
        story.begins(Begin(f"t{number}", number, "search", None, config))
        story.ends(f"t{number}")
    assert all_left(story, programme) == ["t0-seed0", "t1-seed0"]
    runs = story.history().runs
    assert runs["t0-seed0"].config["seed"] == runs["t1-seed0"].config["seed"]


def test_a_race_that_is_decided_runs_no_further_seeds(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=30)
    order = whole(story, programme, {"mmd": 0.9, "kl": 0.3})
    raced = [trial for trial in order if "seed" in trial]
    assert 2 * 2 <= len(raced) < 2 * 15
    assert order[-1] == "t0-winner"


def test_the_one_left_when_others_fail_has_the_seeds_of_an_answer(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=5)
    story.trial(0)
    story.trial(1)
    while begun := all_left(story, programme):
        for trial in begun:
            diverged = "TrainingDivergedError: nan" if trial == "t1-seed1" else None
            story.ends(trial, "failed" if diverged else "finished", reason=diverged)
    raced = [trial for trial in story.history().runs if trial.startswith("t0-seed")]
    assert raced == ["t0-seed0", "t0-seed1", "t0-seed2"]
    assert "t0-winner" in story.history().runs


ARMS = {"mmd": 0.80, "kl": 0.60, "erm": 0.80, "pooled": 0.60, "clean-only": 0.60}


def test_the_finale_goes_on_until_it_is_known_whether_weighting_is_worth_it(tmp_path: Path) -> None:
    """The race is over when the fastest is as good as any; who gains may not be told by then."""
    close, apart = tmp_path / "close", tmp_path / "apart"
    raced = {}
    for folder, of_mmd in ((close, 0.803), (apart, 0.99)):
        folder.mkdir()
        story = Story(folder)
        programme = make(folder, trials=5, seeds=12, baselines=True, policy="fastest-within=0.5")
        accuracy, order = ARMS | {"mmd": of_mmd}, []
        while begun := all_left(story, programme):
            order += begun
            for trial in begun:
                run = story.history().runs[trial]
                luck = (
                    (0.02 if run.arm == "erm" else 0.01)
                    * ((run.config["seed"] * 7) % 10 - 4.5)
                    / 4.5
                )
                fast = 1.0 if run.arm == "clean-only" else 9.0
                story.ends(trial, accuracy=accuracy[run.arm] + luck, work_s=fast)
        arms = {name: run.arm for name, run in story.history().runs.items()}
        raced[folder] = [arms[name] for name in order if "-seed" in name]
    assert len(raced[apart]) == 3 * 5
    assert raced[close].count("mmd") == raced[close].count("erm") == 12
    assert raced[close].count("kl") < 12


def test_where_a_baseline_wins_the_best_weighted_trial_is_trained_again_for_its_rows(
    tmp_path: Path,
) -> None:
    story = Story(tmp_path)
    programme = make(tmp_path, trials=5, seeds=3, baselines=True)
    order = whole(story, programme, ARMS | {"erm": 0.99, "mmd": 0.70})
    runs = story.history().runs
    assert [(runs[name].kind, runs[name].arm) for name in order[-2:]] == [
        ("winner", "erm"), ("rows", "mmd"),
    ]  # fmt: skip
    assert programme.over(story.history())


def test_folds_take_turns_in_the_finale(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=3, folds=2)
    whole(story, programme, {"mmd": 0.8, "kl": 0.8})
    runs = story.history().runs
    assert [runs[f"t0-seed{seed}"].config["fold"] for seed in range(3)] == [0, 1, 0]
    assert runs["t0"].config["fold"] == runs["t0-winner"].config["fold"] == 0


def test_what_is_timed_alone_is_timed_one_at_a_time(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=0)
    story.trial(0)
    story.trial(1)
    assert all_left(story, programme) == ["t0-retime"]
    story.ends("t0-retime", work_s=30.0)
    assert all_left(story, programme) == ["t1-retime"]
    table = story.history().trials().set_index("trial")
    assert table.loc["t0", "retimed_s"] == pytest.approx(60.0)  # the wall seconds of a whole run


def test_the_seconds_of_a_whole_run_follow_from_its_first_epochs(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=1, seeds=0)
    begin = programme.next(story.history())
    assert begin is not None
    config = {**begin.config, "epochs": 10, "warmup_epochs": 2}
    story.begins(Begin("t0", 0, "search", None, config))
    story.ends("t0")
    alone = programme.next(story.history())
    assert alone is not None
    assert (alone.trial, alone.config["epochs"]) == ("t0-retime", 4)
    story.begins(alone)
    story.ends("t0-retime", work_s=8.0)  # 4 wall seconds an epoch
    assert story.history().trials()["retimed_s"].tolist() == pytest.approx([40.0])


def test_a_spent_budget_ends_the_search_and_then_the_finale(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=4, budget="100s")
    story.trial(0)
    story.trial(1)
    history = story.history()
    began = history.session_of(history.runs["t0"])["time"]
    for seconds, begins in ((60, "t2"), (80, "t0-seed0"), (110, None)):
        story.log.path.write_text(
            story.log.path.read_text().replace(str(began), str(time() - seconds), 1)
        )
        history = story.history()
        began = history.session_of(history.runs["t0"])["time"]
        next_one = programme.next(history)
        assert (next_one and next_one.trial) == begins
        assert programme.spent(history, "search") == (seconds > 70)
        assert programme.spent(history, "finale") == (seconds > 100)
    assert programme.over(story.history())


def test_a_front_that_stands_still_ends_the_search(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=40, seeds=0, patience=3)
    story.trial(0, accuracy=0.5)
    story.trial(1, accuracy=0.9, work_s=2.0)
    for number in range(2, 4):
        story.trial(number, accuracy=0.6)
    assert (programme.next(story.history()) or Begin("", 0, "", None, {})).kind == "search"
    story.trial(4, accuracy=0.6)
    assert (programme.next(story.history()) or Begin("", 0, "", None, {})).kind == "retime"


def test_so_does_one_of_a_loss_that_falls_no_more(tmp_path: Path) -> None:
    loss = METRICS["log_loss"]
    story = Story(tmp_path)
    programme = make(tmp_path, trials=40, seeds=0, patience=3, metric=loss.name)
    for number, value in enumerate((0.9, 0.5, 0.6, 0.6)):
        story.trial(number, metric=loss.name, accuracy=value, work_s=1.0 + number)
    assert (programme.next(story.history(loss)) or Begin("", 0, "", None, {})).kind == "search"
    story.trial(4, metric=loss.name, accuracy=0.9, work_s=4.0)
    assert (programme.next(story.history(loss)) or Begin("", 0, "", None, {})).kind == "retime"


def test_an_extended_search_goes_on_searching(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=2, seeds=0)
    whole(story, programme, {"mmd": 0.8, "kl": 0.7})
    assert programme.over(story.history())
    story.log.append("extended", trials=4)
    longer = make(tmp_path, trials=4, seeds=0)
    assert all_left(story, longer) == ["t2", "t3"]


def in_the_end(story: Story, programme: Programme) -> list[str]:
    """Every run to its end, where mmd and kl are too close to tell; those that were begun."""
    begun = whole(story, programme, {"mmd": 0.8, "kl": 0.8})
    assert programme.over(story.history())
    return begun


def test_more_seeds_go_on_with_the_finale_alone(tmp_path: Path) -> None:
    story = Story(tmp_path)
    in_the_end(story, make(tmp_path, trials=2, seeds=3))
    story.log.append("extended", seeds=5)
    more = in_the_end(story, make(tmp_path, trials=2, seeds=5))
    assert more == ["t0-seed3", "t1-seed3", "t0-seed4", "t1-seed4"]


def test_more_seeds_train_another_winner_again(tmp_path: Path) -> None:
    story = Story(tmp_path)
    assert in_the_end(story, make(tmp_path, trials=2, seeds=3))[-1] == "t0-winner"
    story.log.append("extended", seeds=9)
    order, programme = [], make(tmp_path, trials=2, seeds=9)
    while begun := all_left(story, programme):
        order += begun
        for trial in begun:
            ahead = trial.startswith("t1")
            story.ends(trial, accuracy=0.99 if ahead else 0.2 + 0.01 * int(trial[-1]))
    assert order[:2] == ["t0-seed3", "t1-seed3"]
    assert [trial for trial in order if "-seed" not in trial] == ["t1-winner"]


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ({"seeds": 5}, {"seed"}),
        ({"seeds": 5, "trials": 40}, {"search"}),  # as with a new budget
        ({"trials": 42}, {"search"}),
    ],
)
def test_a_search_that_patience_ended_goes_on_only_if_more_than_seeds_are_asked_for(
    tmp_path: Path, asked: dict[str, int], kinds: set[str]
) -> None:
    story, limits = Story(tmp_path), {"trials": 40, "seeds": 3, "patience": 3}
    for number in range(5):
        story.trial(number, accuracy=0.8)
    in_the_end(story, make(tmp_path, **limits))
    before = story.history()
    assert len(before.of_kind("search")) == 5
    story.log.append("extended", **asked)
    assert story.history().in_finale == (kinds == {"seed"})
    longer = make(tmp_path, **{**limits, **asked})
    begins = longer.next(story.history())
    assert isinstance(begins, Begin)
    assert {begins.kind} == kinds


def test_more_seeds_than_the_answer_needs_do_not_run(tmp_path: Path) -> None:
    story = Story(tmp_path)
    whole(story, make(tmp_path, trials=2, seeds=30), {"mmd": 0.9, "kl": 0.3})
    story.log.append("extended", seeds=60)
    assert make(tmp_path, trials=2, seeds=60).over(story.history())


def test_an_extended_search_goes_on_with_what_the_budget_stopped(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=1, seeds=0)
    story.trial(0)
    assert all_left(story, programme) == ["t0-retime"]
    story.ends("t0-retime", "stopped", epochs=1, reason="the budget was spent")
    assert all_left(story, programme) == ["t0-winner"]
    story.ends("t0-winner", "stopped", epochs=1, reason="the budget was spent")
    assert programme.over(story.history())
    story.log.append("extended", trials=2)
    assert [run.trial for run in story.history().unfinished] == ["t0-retime", "t0-winner"]


def test_a_search_without_a_finished_trial_is_over_without_a_finale(tmp_path: Path) -> None:
    story, programme = Story(tmp_path), make(tmp_path, trials=1)
    story.trial(0, "failed", epochs=0, reason="ValueError: no")
    assert programme.next(story.history()) is None
    assert programme.over(story.history())
