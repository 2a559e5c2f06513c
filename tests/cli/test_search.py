"""A whole search: what it prints, what it leaves on disk, what MLflow holds."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import SEEDS, TRIALS, Finished
from .helpers import (
    adiw_tune,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    called,
    ends_of,
    of_kind,
    searched,
)

TABLE = ["trial", "divergence", "accuracy", "over", "seeds"]
TABLE += ["work", "s", "wall", "s", "timed", "alone", "s", "epochs"]


def picked(decision: dict[str, Any]) -> str:
    """The line that names the pick."""
    if decision["divergence"] == "erm":
        return "pick: erm (plain training on the training rows)"
    return f"best divergence: {decision['divergence']}"


def accuracies_of(finished: Finished) -> dict[str, float]:
    """Of each run that ran an epoch, in the end."""
    ends = of_kind(finished.events, "end")
    return {end["trial"]: end["metrics"]["accuracy"] for end in ends if end["metrics"]}


def test_it_prints_the_front_the_pick_and_what_to_do_next(finished: Finished) -> None:
    lines = finished.ran.stdout.splitlines()
    assert lines[0] == "front of 's': accuracy against seconds of work"
    assert lines[1].split()[: len(TABLE)] == TABLE
    decision = json.loads((finished.folder / "adiw-searches/s/decision.json").read_text())
    assert decision["verdict"] in lines
    assert lines[lines.index(decision["verdict"]) + 1] == picked(decision)
    (marked,) = [line for line in lines if line.lstrip().startswith(f"* {decision['number']} ")]
    assert f" {decision['value']:.4f} " in marked
    (pick,) = [line for line in lines if line.startswith(f"  trial {decision['number']} (")]
    assert f"accuracy {decision['value']:.4f} [" in pick
    assert f"over {SEEDS} seeds on the select split" in pick
    assert lines[-4:] == [
        "train it again: adiw-tune train --from s",
        "look at it: adiw-tune ui s",
        "which rows look wrong: adiw-tune rows s",
        "read the test split, once: adiw-tune finalize s",
    ]


def test_it_tells_of_each_trial_as_it_ends_and_of_nothing_else(finished: Finished) -> None:
    warning, *lines, last = finished.ran.stderr.splitlines()
    assert warning.startswith("warning: warmup_epochs is not below epochs: ")  # in some of its runs
    ends = of_kind(finished.events, "end")
    assert len(lines) == len(ends)
    for number, (line, end) in enumerate(zip(lines, ends, strict=True)):
        if number < TRIALS:
            assert line.startswith(f"[{number + 1}/{TRIALS}, ")
            assert f" left] trial {number} (" in line
        else:
            assert line.startswith("[finale] trial ")
        if end["trial"].endswith("-retime"):
            assert " timed alone " in line
        elif end["status"] == "finished":
            assert f"accuracy {end['metrics']['accuracy']:.4f} in " in line
    assert last == "sending the last events to MLflow ..."


def test_a_trial_that_diverges_is_failed_with_its_reason_and_the_others_go_on(
    finished: Finished,
) -> None:
    ends = ends_of(finished.events, searched(finished.events))
    assert [end["status"] for end in ends] == ["finished"] * 2 + ["failed"] + ["finished"] * 2
    reason = ends[2]["reason"]
    assert reason.startswith("TrainingDivergedError: the training loss became ")
    assert "\n" not in reason
    assert reason in finished.ran.stderr
    run = finished.tracked.children[ends[2]["trial"]]
    assert run.info.status == "FAILED"
    assert run.data.tags["failure"] == reason


def test_each_trial_ran_once_and_is_recorded_whole(finished: Finished) -> None:
    assert_each_trial_ran_once(finished.events)
    for begun in of_kind(finished.events, "trial"):
        ran = [e for e in of_kind(finished.events, "epoch") if e["trial"] == begun["trial"]]
        (end,) = [e for e in of_kind(finished.events, "end") if e["trial"] == begun["trial"]]
        if end["status"] == "finished":
            assert len(ran) == begun["config"]["epochs"]
            assert ran[-1]["metrics"] == end["metrics"]
            for seconds in ("work_s", "wall_s"):
                assert ran[-1][seconds] == end[seconds]
                assert [e[seconds] for e in ran] == sorted(e[seconds] for e in ran)


def test_mlflow_holds_the_same_and_nothing_runs(finished: Finished) -> None:
    assert_tells_the_same(finished.folder)
    parent = finished.tracked.parent
    assert parent.info.run_name == "s"
    assert parent.info.status == "FINISHED"
    assert {name: parent.data.params[name] for name in ("trials", "seed", "concurrency")} == {
        "trials": str(TRIALS), "seed": "7", "concurrency": "1",
    }  # fmt: skip
    for begun in of_kind(finished.events, "trial"):
        run, config = finished.tracked.children[begun["trial"]], begun["config"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        arm = config["divergence"] if config["method"] == "adiw" else config["method"]
        assert run.data.tags["divergence"] == arm
        for name, value in config.items():
            if value is not None and name != "divergence":
                assert run.data.params[name] == str(value)


def test_the_front_is_the_same_everywhere(finished: Finished) -> None:
    printed = json.loads(called(finished.folder, "front", "s", "--format", "json").stdout)
    front = {row["trial"] for row in printed}
    children = finished.tracked.children.items()
    tags = {t: run.data.tags["front"] for t, run in children if run.data.tags["kind"] == "search"}
    assert front == {trial for trial, tag in tags.items() if tag == "yes"}
    assert set(tags.values()) <= {"yes", "no"}
    stored = csv.DictReader(io.StringIO(finished.tracked.artifacts()["front.csv"].read_text()))
    assert [row["trial"] for row in stored] == [row["trial"] for row in printed]


def test_the_parent_keeps_the_front_as_data_and_pictures_and_the_decision(
    finished: Finished,
) -> None:
    files = finished.tracked.artifacts()
    assert {"front.csv", "front.html", "front.png", "decision.json", "report.html"} <= set(files)
    assert files["front.png"].read_bytes().startswith(b"\x89PNG")
    assert "<html" in files["front.html"].read_text()[:2000]
    on_disk = json.loads((finished.folder / "adiw-searches/s/decision.json").read_text())
    assert json.loads(files["decision.json"].read_text()) == on_disk
    assert finished.tracked.parent.data.tags["divergence"] == on_disk["divergence"]


def test_the_settings_are_on_disk_with_the_space_as_it_was(finished: Finished) -> None:
    folder = finished.folder / "adiw-searches/s"
    settings = json.loads((folder / "search.json").read_text())
    assert (settings["name"], settings["trials"], settings["seed"]) == ("s", TRIALS, 7)
    assert settings["tracking_uri"] == f"sqlite:///{finished.folder / 'mlflow.db'}"
    assert (folder / "space.py").read_text() == (finished.folder / "space.py").read_text()


def test_front_prints_a_table_or_every_setting_as_data(finished: Finished) -> None:
    table = adiw_tune(finished.folder, "front", "s")
    decision = json.loads((finished.folder / "adiw-searches/s/decision.json").read_text())
    rows = json.loads(called(finished.folder, "front", "s", "--format", "json").stdout)
    text = called(finished.folder, "front", "s", "--format", "csv").stdout
    heading, *lines = table.stdout.splitlines()
    assert heading.split()[: len(TABLE)] == TABLE
    numbers = [line.replace("*", "").split()[0] for line in lines[:-2]]  # which say what words mean
    assert {str(row["number"]) for row in rows} | {str(decision["number"])} == set(numbers)
    assert [row["pick"] for row in rows] == [row["trial"] == decision["trial"] for row in rows]
    assert [row["trial"] for row in csv.DictReader(io.StringIO(text))] == [r["trial"] for r in rows]
    configs = {e["trial"]: e["config"] for e in of_kind(finished.events, "trial")}
    for row in rows:
        assert row["learning_rate"] == configs[row["trial"]]["learning_rate"]
    assert table.stderr == ""


@pytest.mark.parametrize("policy", ["knee", "fastest-within=0.01", "best-under=1000"])
def test_best_names_the_pick_of_a_policy(finished: Finished, policy: str) -> None:
    told = called(finished.folder, "best", "s", "--policy", policy, "--format", "json")
    decision = json.loads(told.stdout)
    assert decision["rule"] == policy
    assert decision["trial"] in {event["trial"] for event in searched(finished.events)}
    assert {b["divergence"] for b in decision["best_per_divergence"]} == {
        "mmd", "wasserstein", "erm",
    }  # fmt: skip


def test_the_answer_rests_on_paired_seeds(finished: Finished) -> None:
    decision = json.loads(called(finished.folder, "best", "s", "--format", "json").stdout)
    assert decision["seeds"] == SEEDS
    assert decision["p_chosen"].keys() == {"mmd", "wasserstein", "erm"}
    assert sum(decision["p_chosen"].values()) == pytest.approx(1)
    reruns = [event for event in of_kind(finished.events, "trial") if event["kind"] == "seed"]
    of_winner = [event["trial"] for event in reruns if event["of"] == decision["trial"]]
    ends = accuracies_of(finished)
    assert decision["value"] == pytest.approx(sum(map(ends.get, of_winner)) / SEEDS)
    low, high = decision["interval"]
    assert 0 <= low <= decision["value"] <= high <= 1
    assert isinstance(decision["tie"], bool)
    seeds = {of: [] for of in {event["of"] for event in reruns}}
    for event in reruns:
        seeds[event["of"]].append(event["config"]["seed"])
    assert len(seeds) == 3
    assert len({tuple(each) for each in seeds.values()}) == 1


def test_finalists_are_timed_alone_and_the_winner_is_trained_again(finished: Finished) -> None:
    rows = json.loads(called(finished.folder, "front", "s", "--format", "json").stdout)
    begun = of_kind(finished.events, "trial")
    timed = {event["of"] for event in begun if event["kind"] == "retime"}
    for row in rows:
        assert row["work_s"] > 0
        assert row["wall_s"] > 0
        assert (row["retimed_s"] is not None) == (row["trial"] in timed)
    (winner,) = [event for event in begun if event["kind"] == "winner"]
    decision = json.loads((finished.folder / "adiw-searches/s/decision.json").read_text())
    assert winner["of"] == decision["trial"]
    ends = accuracies_of(finished)
    assert ends[winner["trial"]] == ends[winner["of"]]  # on the CPU, to the last digit


def test_all_count_work_in_one_unit_and_know_their_rows(finished: Finished) -> None:
    setups = of_kind(finished.events, "setup")
    assert len({event["plain_s"] for event in setups}) == 1
    digests = {event["trial"]: event["splits"] for event in setups}
    first, *others = [digests[event["trial"]] for event in searched(finished.events)]
    assert first.keys() == {"train", "reference", "select", "test"}
    assert all(other == first for other in others)


def test_best_says_how_to_train_the_pick_of_that_policy(finished: Finished) -> None:
    policy = ("--policy", "best-under=1000")
    text = called(finished.folder, "best", "s", *policy).stdout
    decision = json.loads(called(finished.folder, "best", "s", *policy, "--format", "json").stdout)
    assert text.startswith(f"{decision['verdict']}\n{picked(decision)}\n")
    assert text.endswith("train it again: adiw-tune train --from s --policy best-under=1000\n")


def test_resume_of_a_finished_search_only_shows_it_again(finished: Finished) -> None:
    before = (finished.folder / "adiw-searches/s/events.jsonl").read_bytes()
    again = adiw_tune(finished.folder, "resume", "s")
    assert again.returncode == 0
    assert again.stdout == finished.ran.stdout
    assert again.stderr == ""
    assert (finished.folder / "adiw-searches/s/events.jsonl").read_bytes() == before


def test_a_second_search_of_that_name_is_told_to_extend_the_first(finished: Finished) -> None:
    again = adiw_tune(finished.folder, "search", "space.py", "--name", "s")
    assert again.returncode == 2
    assert again.stderr.splitlines() == [
        "error: search 's' in 'adiw-searches' is over: add trials by 'adiw-tune extend s --trials "
        "N', or choose another --name"
    ]


def test_a_second_search_of_that_name_is_told_to_resume_one_that_is_not_over(
    finished: Finished, tmp_path: Path
) -> None:
    storage = tmp_path / "searches"
    shutil.copytree(finished.folder / "adiw-searches", storage)
    (storage / "s" / "decision.json").unlink()
    again = adiw_tune(
        finished.folder, "search", "space.py", "--name", "s", "--storage", str(storage)
    )
    assert again.returncode == 2
    assert again.stderr.splitlines() == [
        f"error: search 's' exists in '{storage}': go on with it by 'adiw-tune resume s --storage "
        f"{storage}', or choose another --name"
    ]
