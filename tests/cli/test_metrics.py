"""Searches by other metrics than the accuracy, from the command line to MLflow."""

from __future__ import annotations

import base64
import csv
import io
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Finished
from .helpers import adiw_tune, assert_tells_the_same, called, of_kind, read_events, searched

# Groups: smaller and larger tumours. The larger ones are nearly all of one class.
TASK = """
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

REFERENCE_SIZE = SELECT_SIZE = 100


def rows(first, last):
    x, y = load_breast_cancer(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[first:last]
    inputs = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)[order]
    return inputs, torch.tensor(y)[order], (inputs[:, 0] > 0).long()


def train():
    return rows(0, 450)


def test():
    return rows(450, None)


def model():
    return nn.Linear(30, 2)
"""
OWN = """
GREATER_IS_BETTER = False


def metric(outputs, targets, groups):
    missed = (outputs.argmax(1) == 1) & (targets == 0)
    return 10 * missed.float().mean()
"""
SPACE = """
def space(trial):
    return {
        "task": "cancer.py",
        "shift": "pair:0.3",
        "divergence": trial.suggest_categorical("divergence", ["mmd", "kl"]),
        "epochs": trial.suggest_int("epochs", 2, 9),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True),
        "batch_size": 64,
    }
"""
SEARCH = ("search", "space.py", "--name", "s", "--concurrency", "1")
MEASURED = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision"}
MEASURED |= {"worst_group_accuracy", "log_loss"}


def folder_with(folder: Path, more: str = "") -> Path:
    (folder / "cancer.py").write_text(TASK + more)
    (folder / "space.py").write_text(SPACE)
    return folder


def finished_in(folder: Path, *options: str) -> Finished:
    ran = adiw_tune(folder, *SEARCH, *options)
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)


@pytest.fixture(scope="module")
def least(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search for little loss, nothing cut."""
    folder = folder_with(tmp_path_factory.mktemp("least"))
    options = ("--metric", "log_loss", "--trials", "6", "--seeds", "3", "--no-early-stopping")
    return finished_in(folder, *options)


def told(folder: Path, *words: str) -> Any:
    ran = called(folder, *words, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_front_falls(least: Finished) -> None:
    assert least.ran.stdout.startswith("front of 's': log_loss against seconds of work\n")
    text = called(least.folder, "front", "s", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    values = [float(row["log_loss"]) for row in rows]
    assert values == sorted(values, reverse=True)
    work = [float(row["work_s"]) for row in rows]
    assert work == sorted(work)
    ends = {event["trial"]: event["metrics"]["log_loss"] for event in of_kind(least.events, "end")}
    begun = [event["trial"] for event in searched(least.events)]
    assert values[-1] == min(ends[trial] for trial in begun)


def test_the_front_and_the_answer_name_their_metric_and_have_the_others(least: Finished) -> None:
    for row in told(least.folder, "front", "s"):
        assert row["metric"] == "log_loss"
        assert row["metrics"].keys() == MEASURED
        assert row["metrics"]["log_loss"] == pytest.approx(row["value"])
    best = told(least.folder, "best", "s")
    assert best["metric"] == "log_loss"
    again = [e for e in of_kind(least.events, "end") if e["trial"].startswith(f"{best['trial']}-s")]
    assert len(again) == best["seeds"] == 3
    for name in MEASURED:
        mean = sum(end["metrics"][name] for end in again) / 3
        assert best["metrics"][name] == pytest.approx(mean)
    assert best["value"] == pytest.approx(best["metrics"]["log_loss"])
    assert 0 <= best["interval"][0] < best["value"] < best["interval"][1]


def test_the_answer_is_the_least_by_the_means_or_a_tie(least: Finished) -> None:
    best = told(least.folder, "best", "s")
    values = [one["value"] for one in best["best_per_divergence"]]
    assert values == sorted(values)
    assert best["rule"] == "fastest-within=1%"
    assert best["value"] == values[0] or best["tie"]
    within = told(least.folder, "best", "s", "--policy", "fastest-within=100")
    fastest, *_ = told(least.folder, "front", "s")
    assert within["trial"] == fastest["trial"]  # a loss of 100 more is near enough


def test_mlflow_has_all_metrics_and_its_pages_go_by_the_one(least: Finished) -> None:
    assert_tells_the_same(least.folder)
    parent, best = least.tracked.parent, told(least.folder, "best", "s")
    assert parent.data.params["metric"] == "log_loss"
    assert parent.data.metrics["picked_log_loss"] == pytest.approx(best["value"])
    for trial, run in least.tracked.children.items():
        losses = [value for _, value in least.tracked.history(trial, "log_loss")]
        assert run.data.metrics["best/log_loss"] == min(losses)
    experiment = least.tracked.client.get_experiment(parent.info.experiment_id)
    (view,) = (
        json.loads(value)
        for key, value in experiment.tags.items()
        if key.startswith("mlflow.sharedViewState.") and not key.endswith("-front")
    )
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].partition(";")[2])))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`log_loss`", True)
    shown = {chart["type"]: chart for chart in state["compareRunCharts"] if not chart["deleted"]}
    assert shown["SCATTER"]["yaxis"]["key"] == "log_loss"
    assert shown["LINE"]["metricKey"] == "log_loss"
    assert "lower left is better" in least.tracked.artifacts()["report.html"].read_text()


def test_the_pick_is_trained_measured_and_turned_by_it(least: Finished) -> None:
    best = told(least.folder, "best", "s")
    again = told(least.folder, "train", "--from", "s")
    assert again["metric"] == "log_loss"
    ends = {event["trial"]: event["metrics"] for event in of_kind(least.events, "end")}
    assert again["metrics"]["select"] == ends[best["trial"]]
    repeated = called(least.folder, "rerun", "s", best["trial"])
    assert "log_loss 0." in repeated.stdout.splitlines()[0]
    assert repeated.stdout.splitlines()[0].endswith("as recorded")
    scaled = called(least.folder, "scale", "--dial", "steps", "--from", "s", "--values", "1")
    assert scaled.returncode == 0, scaled.stderr
    assert "log_loss" in scaled.stdout.splitlines()[0].split()
    replayed = called(least.folder, "replay", "s", "--seeds", "2")
    assert "ASHA on log_loss" in replayed.stdout


def test_the_test_split_is_read_with_an_interval_and_recorded(least: Finished) -> None:
    reading = told(least.folder, "finalize", "s")
    assert reading["metric"] == "log_loss"
    assert reading["interval"][0] < reading["value"] < reading["interval"][1]
    assert reading["metrics"].keys() == MEASURED
    refused = called(least.folder, "finalize", "s")
    assert f": log_loss {reading['value']:.4f}; --again" in refused.stderr
    parent = Finished(least.folder, least.ran).tracked.parent
    for name, value in reading["metrics"].items():
        assert parent.data.metrics[f"test_{name}"] == value


def test_the_worst_group_is_searched_for(tmp_path: Path) -> None:
    options = ("--metric", "worst_group_accuracy", "--trials", "4", "--seeds", "0")
    found = finished_in(folder_with(tmp_path), *options)
    best = told(tmp_path, "best", "s")
    assert (best["metric"], best["rule"]) == ("worst_group_accuracy", "fastest-within=0.01")
    reached = [
        event["metrics"]["worst_group_accuracy"]
        for event in of_kind(found.events, "end")
        if event["status"] == "finished" and "-" not in event["trial"]
    ]
    assert max(reached) - 0.01 <= best["value"] <= max(reached)
    assert "the best by worst_group_accuracy" in found.ran.stdout


def test_a_tasks_own_is_searched_for_and_read_without_the_task(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, OWN)
    found = finished_in(folder, "--trials", "4", "--seeds", "0")
    assert found.ran.stdout.startswith("front of 's': metric against seconds of work\n")
    (folder / "cancer.py").unlink()
    best = told(folder, "best", "s")
    ends = [e for e in of_kind(found.events, "end") if e["status"] == "finished"]
    values = [end["metrics"]["metric"] for end in ends if "-" not in end["trial"]]
    assert best["metric"] == "metric"
    assert min(values) <= best["value"] <= 1.01 * min(values)
    assert found.tracked.parent.data.metrics["picked_metric"] == pytest.approx(best["value"])


RARE = """
def test():
    x, y, groups = rows(450, None)
    kept = torch.cat([(y == 0).nonzero()[:1, 0], (y == 1).nonzero()[:, 0]])
    return x[kept], y[kept], groups[kept]


def metric(outputs, targets, groups):
    found = (outputs.argmax(1) == 0) & (targets == 0)
    return int(found.sum()) / int((targets == 0).sum())
"""


def test_one_that_fails_on_resamples_of_the_test_rows_is_read_all_the_same(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, RARE)
    finished_in(folder, "--trials", "1", "--seeds", "0")
    ran = called(folder, "finalize", "s")
    assert ran.returncode == 0, ran.stderr
    first, left_out, *_ = ran.stdout.splitlines()
    assert first.startswith("test metric ")
    assert "] on " in first
    assert left_out.endswith(
        "of 1000 resamples of these rows have no value: left out of the interval"
    )
    assert len(of_kind(read_events(folder), "test_read")) == 1
    again = json.loads(called(folder, "finalize", "s", "--again", "--format", "json").stdout)
    assert again["resamples"] == 1000
    assert 300 < again["left_out"] < 440  # 1000 / e


@pytest.mark.parametrize(
    ("metric", "more", "right"),
    [
        ("f2", "", "unknown metric 'f2': choose one of accuracy, balanced_accuracy, macro_f1, "),
        (
            "rmse",
            "",
            "metric 'rmse' does not apply to targets of kind classes, which task '{}' has: ",
        ),
        ("metric", "", "metric 'metric' is not defined by task '{}': choose one of accuracy, "),
        (
            "worst_group_accuracy",
            "\nwhole = rows\n\n\ndef rows(first, last):\n    return whole(first, last)[:2]\n",
            "metric 'worst_group_accuracy' needs groups, which the select rows of task '{}' do not "
            "have: ",
        ),
        (
            "auroc",
            "\nCLASSES = 2\nwhole = rows\n\n\ndef rows(first, last):\n"
            "    x, y, groups = whole(first, last)\n    return x, 0 * y, groups\n",
            "metric 'auroc' has no value on the 100 select rows of task '{}': choose one of ",
        ),
        (
            "auroc",
            "\ndef test():\n    x, y, groups = rows(450, None)\n    return x, 0 * y, groups\n",
            "metric 'auroc' has no value on the 119 test rows of task '{}': choose one of ",
        ),
        (
            "worst_group_accuracy",
            "\ndef test():\n    return rows(450, None)[:2]\n",
            "metric 'worst_group_accuracy' needs groups, which the test rows of task '{}' do not ",
        ),
    ],
)
def test_what_its_rows_cannot_give_is_refused_before_anything_is_written(
    tmp_path: Path, metric: str, more: str, right: str
) -> None:
    folder = folder_with(tmp_path, more)
    ran = called(folder, *SEARCH, "--metric", metric)
    (line,) = ran.stderr.splitlines()
    assert ran.returncode == 2
    assert line.startswith(f"error: {right}".replace("{}", str(folder / "cancer.py")))
    assert {path.name for path in folder.iterdir()} == {"cancer.py", "space.py"}


def test_tasks_of_one_space_are_to_have_one_metric(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / "own.py").write_text(TASK + OWN)
    choice = 'trial.suggest_categorical("task", ["cancer.py", "own.py"])'
    (folder / "space.py").write_text(SPACE.replace('"cancer.py"', choice))
    ran = called(folder, *SEARCH)
    assert ran.returncode == 2
    assert "accuracy (greater is better)" in ran.stderr
    assert "metric (less is better)" in ran.stderr
    assert read_events(folder) == []
