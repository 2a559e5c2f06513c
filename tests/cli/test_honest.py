"""A search with cut trials: who competes, who reads the test split, and what can be repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adiw_tune.record.budget import SEARCH_SHARE
from adiw_tune.record.record import SearchRecord

from .conftest import Finished
from .helpers import (
    Tracked,
    adiw_tune,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    called,
    ends_of,
    of_kind,
    read_events,
    searched,
)

# Every other trial hardly learns and costs far more, so it falls behind even by a noisy clock.
SPACE = """
def space(trial):
    trial.suggest_float("learning_rate", 1e-6, 3e-3, log=True)
    slow = trial.number % 2
    rate, steps = (1e-6, 100) if slow else (3e-3, 2)
    return {"epochs": 4, "batch_size": 64, "learning_rate": rate, "steps": steps}
"""
TRIALS, SEEDS = 6, 3


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("honest")
    (folder / "space.py").write_text(SPACE)
    options = ("--name", "s", "--trials", str(TRIALS), "--concurrency", "1")
    options = (*options, "--seeds", str(SEEDS), "--no-baselines", "--cross-fit", "3")
    ran = adiw_tune(folder, "search", "space.py", *options)
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)


def test_a_cut_trial_is_pruned_and_killed_and_on_no_front(honest: Finished) -> None:
    ends = ends_of(honest.events, searched(honest.events))
    cut = {end["trial"]: end for end in ends if end["status"] == "pruned"}
    assert 0 < len(cut) < TRIALS
    front = json.loads(called(honest.folder, "front", "s", "--format", "json").stdout)
    assert not cut.keys() & {row["trial"] for row in front}
    for trial, end in cut.items():
        epochs = [e["epoch"] for e in of_kind(honest.events, "epoch") if e["trial"] == trial]
        assert epochs[-1] == end["rung"] < 4
        assert end["reason"] == f"others of its divergence did better at epoch {end['rung']}"
        run = honest.tracked.children[trial]
        assert run.info.status == "KILLED"
        tags = {name: run.data.tags[name] for name in ("pruned", "rung", "front", "kind")}
        assert tags == {"pruned": "yes", "rung": str(end["rung"]), "front": "no", "kind": "search"}
    assert_tells_the_same(honest.folder)


def test_few_clean_rows_take_turns(honest: Finished) -> None:
    digests = {event["trial"]: event["splits"] for event in of_kind(honest.events, "setup")}
    folds = {}
    for event in of_kind(honest.events, "trial"):
        config = event["config"]
        assert config["folds"] == 3
        if event["kind"] == "seed":
            folds[config["fold"]] = digests[event["trial"]]["select"]
        else:
            assert config["fold"] == 0
    assert folds.keys() == {0, 1, 2}
    assert len(set(folds.values())) == 3


def test_a_trial_is_repeated_to_the_last_digit(honest: Finished) -> None:
    ran = called(honest.folder, "rerun", "s", "0")
    assert ran.returncode == 0, ran.stderr
    *epochs, last = ran.stdout.splitlines()
    assert len(epochs) == 4
    assert all(line.endswith("as recorded") for line in epochs)
    assert last == "trial t0 repeated, to the last digit: 4 epochs"
    seed = next(e["trial"] for e in of_kind(honest.events, "trial") if e["kind"] == "seed")
    again = called(honest.folder, "rerun", "s", seed)
    assert f"{seed} repeated, to the last digit" in again.stdout


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"torch": "', '"torch": "0', "torch was 0"),
        ('"select": "', '"select": "0', "its select rows were others"),
        ('"loss": ', '"loss": 1', "gives other numbers from epoch 1 on: on the same machine"),
    ],
)
def test_a_trial_that_cannot_be_repeated_says_what_differs(
    honest: Finished, tmp_path: Path, old: str, new: str, told: str
) -> None:
    folder = tmp_path / "adiw-searches" / "s"
    folder.mkdir(parents=True)
    for name in ("search.json", "events.jsonl"):
        text = (honest.folder / "adiw-searches/s" / name).read_text()
        (folder / name).write_text(text.replace(old, new))
    ran = called(tmp_path, "rerun", "s", "0")
    assert ran.returncode == 2
    assert told in ran.stderr.splitlines()[-1]


def test_no_such_trial_is_told(honest: Finished) -> None:
    ran = called(honest.folder, "rerun", "s", "99")
    assert ran.stderr == "error: no trial '99' in this search: there are 0 to 5\n"


def test_the_test_split_is_read_once_and_then_only_when_asked_again(honest: Finished) -> None:
    first = called(honest.folder, "finalize", "s", "--format", "json", "--output", "net.pt")
    assert first.returncode == 0, first.stderr
    reading = json.loads(first.stdout)
    assert reading["reading"] == 1
    assert reading["interval"][0] < reading["value"] < reading["interval"][1]
    assert (honest.folder / "net.pt").exists()
    before = len(read_events(honest.folder))
    second = called(honest.folder, "finalize", "s")
    assert second.returncode == 2
    assert "the test split of 's' was read on " in second.stderr
    assert "--again" in second.stderr
    assert len(read_events(honest.folder)) == before
    again = called(honest.folder, "finalize", "s", "--again")
    assert "this was reading 2 of the test split" in again.stdout
    readings = of_kind(read_events(honest.folder), "test_read")
    assert [event["again"] for event in readings] == [False, True]
    assert {event["metrics"]["accuracy"] for event in readings} == {reading["value"]}
    parent = Tracked(honest.folder).parent
    assert parent.data.metrics["test_accuracy"] == reading["value"]
    assert parent.info.status == "FINISHED"


def test_the_winner_is_a_registered_model(honest: Finished) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{honest.folder / 'mlflow.db'}")
    version = client.get_model_version_by_alias("adiw-tune-s", "champion")
    decision = json.loads((honest.folder / "adiw-searches/s/decision.json").read_text())
    run = honest.tracked.children[f"{decision['trial']}-winner"]
    assert version.run_id == run.info.run_id


def test_an_extended_search_adds_trials_and_decides_anew(honest: Finished) -> None:
    before = read_events(honest.folder)
    ran = adiw_tune(honest.folder, "extend", "s", "--trials", "2")
    assert ran.returncode == 0, ran.stderr
    events = read_events(honest.folder)
    assert events[: len(before)] == before
    assert len(searched(events)) == TRIALS + 2
    assert_each_trial_ran_once(events)
    assert_tells_the_same(honest.folder)
    assert SearchRecord.open(honest.folder / "adiw-searches", "s").finished
    none = called(honest.folder, "extend", "s", "--trials", "0")
    assert none.stderr == "error: --trials must be at least 1; got 0\n"


def test_more_seeds_run_in_the_finale_alone(honest: Finished) -> None:
    before = read_events(honest.folder)
    more = SEEDS + 1
    (honest.folder / "adiw-searches/s/decision.json").unlink()  # stopped just before its end
    ran = adiw_tune(honest.folder, "extend", "s", "--seeds", str(more))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith("search 's' was not over: what was left of it runs as well\n")
    events = read_events(honest.folder)
    assert events[: len(before)] == before
    decision = json.loads(called(honest.folder, "best", "s", "--format", "json").stdout)
    assert decision["seeds"] == more
    assert f"over {more} seeds on the select split" in ran.stdout
    (begun,) = of_kind(events[len(before) :], "trial")
    assert (begun["trial"], begun["kind"]) == (f"{decision['trial']}-seed{SEEDS}", "seed")
    assert_each_trial_ran_once(events)
    assert_tells_the_same(honest.folder)
    parent = Tracked(honest.folder).parent
    assert (parent.data.params["seeds"], parent.data.tags["resumed.seeds"]) == (f"{SEEDS}", "4")
    assert parent.info.status == "FINISHED"
    refused = called(honest.folder, "extend", "s", "--seeds", str(more))
    assert refused.returncode == 2
    why = f"is the new total, and 's' has {more}: give more than {more}; got {more}"
    assert refused.stderr == f"error: --seeds {why}\n"
    nothing = called(honest.folder, "extend", "s")
    assert nothing.returncode == 2
    assert nothing.stderr == "error: nothing to extend in 's': give --trials, --seeds or --budget\n"
    assert read_events(honest.folder) == events


def test_a_budget_ends_in_a_decision_though_no_trial_ran_its_course(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text("def space(trial):\n    return {'epochs': 100000}\n")
    options = ("--name", "s", "--trials", "2", "--concurrency", "1", "--budget", "12s")
    options = (*options, "--no-baselines")
    ran = adiw_tune(tmp_path, "search", "space.py", *options)
    assert ran.returncode == 0, ran.stderr
    events = read_events(tmp_path)
    ends = ends_of(events, searched(events))
    assert ends[0]["status"] == "stopped"
    assert ends[0]["reason"] == "the budget was spent"
    began = of_kind(events, "session")[0]["time"]
    for event in searched(events):
        epochs = [e for e in of_kind(events, "epoch") if e["trial"] == event["trial"]]
        assert len([e for e in epochs if e["time"] - began > 12 * SEARCH_SHARE]) <= 1
    decision = json.loads((tmp_path / "adiw-searches/s/decision.json").read_text())
    assert decision["provisional"]
    assert "best divergence: mmd (provisional)" in ran.stdout
    front = called(tmp_path, "front", "s", "--format", "json")
    assert json.loads(front.stdout) == []


def test_a_plan_tells_hours_memory_and_packing_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(
        "def space(trial):\n"
        "    names = ['mmd', 'kl']\n"
        "    return {'divergence': trial.suggest_categorical('divergence', names), 'epochs': 3}\n"
    )
    ran = adiw_tune(tmp_path, "plan", "space.py", "--trials", "8")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "measured on cpu, one configuration of each divergence and baseline:"
    assert {line.split()[0] for line in lines[1:6]} == {"mmd", "kl", "erm", "pooled", "clean-only"}
    assert all(" ms a step" in line and " to " in line for line in lines[1:6])
    assert lines[6].startswith("8 trials, ")
    assert "GiB a trial; room for" in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["space.py"]
