"""A search over auto, and over a task and a divergence that are files of the user's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Finished
from .helpers import adiw_tune, assert_tells_the_same, called, of_kind, read_events
from .helpers import searched as search_trials

TASK = """
import torch
from torch import nn

REFERENCE_SIZE = SELECT_SIZE = 40
SELECT_SIZES = 50


def rows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    return torch.randn(count, 3, generator=generator) + 4 * torch.eye(3)[labels], labels


def train():
    return rows(300, 0)


def test():
    return rows(100, 1)


def model():
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
"""
DIVERGENCE = """
from adiw_tune.divergences import MMD

DIVERGENCE = MMD(bandwidth=0.5)
"""
SPACE = """
def space(trial):
    return {
        "task": "own/three.py",
        "divergence": trial.suggest_categorical("divergence", ["auto", "own/near.py"]),
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": 0.01,
    }
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("own-files")
    (folder / "own").mkdir()
    for name, text in (("own/three", TASK), ("own/near", DIVERGENCE), ("space", SPACE)):
        (folder / f"{name}.py").write_text(text)
    options = ("--name", "s", "--trials", "2", "--concurrency", "1", "--seeds", "0")
    options = (*options, "--no-baselines")
    ran = adiw_tune(folder, "search", "space.py", *options)
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)


def trial_of(searched: Finished, divergence: str) -> str:
    """The search's trial of it."""
    begun = search_trials(searched.events)
    (name,) = [one["trial"] for one in begun if one["config"]["divergence"] == divergence]
    return str(name)


def test_trials_find_the_files_wherever_they_run(searched: Finished) -> None:
    begun = search_trials(searched.events)
    assert {event["config"]["divergence"] for event in begun} == {"auto", "own/near.py"}
    assert {event["config"]["task"] for event in begun} == {"own/three.py"}
    assert {end["status"] for end in of_kind(searched.events, "end")} == {"finished"}
    assert_tells_the_same(searched.folder)


def test_what_looks_mistaken_in_a_task_file_is_told_once(searched: Finished) -> None:
    warnings = [line for line in searched.ran.stderr.splitlines() if line.startswith("warning: ")]
    (told,) = [line for line in warnings if "three.py" in line]
    assert told.startswith("warning: three.py: SELECT_SIZES is not used, and means nothing in a ta")


def test_each_epoch_of_auto_is_recorded_with_its_shares(searched: Finished) -> None:
    auto, near = trial_of(searched, "auto"), trial_of(searched, "own/near.py")
    epochs = {
        trial: [event for event in of_kind(searched.events, "epoch") if event["trial"] == trial]
        for trial in (auto, near)
    }
    assert [event["shares"] for event in epochs[near]] == [{}] * 3
    assert [event["unweighed"] for event in epochs[near]] == [0] * 3
    names = epochs[auto][0]["shares"].keys()
    assert {"mmd", "pearson"} <= names
    for event in epochs[auto]:
        assert event["shares"].keys() == names
        assert sum(event["shares"].values()) == pytest.approx(1, abs=1e-6)
    assert epochs[auto][0]["shares"] != epochs[auto][2]["shares"]
    for name in names:
        expected = [(event["epoch"], event["shares"][name]) for event in epochs[auto]]
        assert searched.tracked.history(auto, f"share/{name}") == expected
    logged = searched.tracked.children[near].data.metrics
    assert not [metric for metric in logged if metric.startswith("share/")]


def test_ones_own_divergence_goes_by_its_files_name(searched: Finished) -> None:
    near = trial_of(searched, "own/near.py")
    run = searched.tracked.children[near]
    assert run.info.run_name == f"near.py-{near.removeprefix('t')}"
    assert run.data.tags["divergence"] == run.data.params["divergence"] == "near.py"
    told = called(searched.folder, "best", "s", "--format", "json")
    found = {row["divergence"] for row in json.loads(told.stdout)["best_per_divergence"]}
    assert found == {"auto", "near.py"}


def test_the_pick_trains_again_from_any_directory(searched: Finished, tmp_path: Path) -> None:
    storage = ("--storage", str(searched.folder / "adiw-searches"))
    best = json.loads(called(tmp_path, "best", "s", *storage, "--format", "json").stdout)
    again = called(tmp_path, "train", "--from", "s", *storage, "--format", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["accuracy"]["select"] == best["value"]


def test_begun_again_elsewhere_it_takes_the_files_that_are_there(
    searched: Finished, tmp_path: Path
) -> None:
    # As a cluster's job has them: each time in a directory of its own, which Ray deletes.
    folder = tmp_path / "job-2"
    shutil.copytree(searched.folder, folder)
    record = folder / "adiw-searches" / "s"
    (record / "decision.json").unlink()
    lines = (record / "events.jsonl").read_text().splitlines(keepends=True)
    second = next(n for n, line in enumerate(lines) if json.loads(line).get("trial") == "t1")
    (record / "events.jsonl").write_text("".join(lines[:second]))  # killed before it began
    three = folder / "own" / "three.py"
    three.write_text(f"{TASK}\nopen(__file__ + '.used', 'w').close()\n")
    settings = json.loads((record / "search.json").read_text())
    settings["address"] = "127.0.0.1:9"  # of a cluster that is no more
    (record / "search.json").write_text(json.dumps(settings))
    options = ("--name", "s", "--trials", "2", "--seeds", "0", "--or-resume")
    options = (*options, "--no-baselines")
    gone = called(folder, "search", "space.py", *options)
    assert gone.returncode == 2
    assert (
        "no Ray cluster at '127.0.0.1:9': give HOST:PORT of a running one, or local" in gone.stderr
    )
    ran = adiw_tune(folder, "search", "space.py", *options, "--address", "local")
    assert ran.returncode == 0, ran.stderr
    assert {end["status"] for end in of_kind(read_events(folder), "end")} == {"finished"}
    assert (folder / "own" / "three.py.used").exists()

    folder.rename(tmp_path / "job-3")
    assert called(tmp_path / "job-3", "finalize", "s").returncode == 0


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            "CLASSES = 2",
            "task 'three.py': labels of train run from 0 to 2: with 2 classes they must lie in "
            "0 .. 1",
        ),
        (
            "def model():\n    return nn.Linear(3, 4)",
            "model: logits of 8 rows must be [8, 3]; they are [8, 4] (is the number of classes "
            "right?); run 'adiw-tune check-task three.py' for all problems",
        ),
    ],
)
def test_what_cannot_be_trained_is_told_before_training(
    tmp_path: Path, code: str, problem: str
) -> None:
    (tmp_path / "three.py").write_text(f"{TASK}\n{code}\n")
    ran = called(tmp_path, "train", "--task", "three.py", "--batch-size", "32")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"error: {problem}\n"
