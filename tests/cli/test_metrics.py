"""Searches by other metrics than the accuracy, from the command line to MLflow."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from .conftest import Finished
from .helpers import adiw_tune, assert_tells_the_same, called, of_kind, read_events, searched

# Two groups of tumours; the larger ones are nearly all of one class.
TASK = (Path(__file__).parents[2] / "benchmarks" / "tasks" / "cancer.py").read_text()
OWN = """
GREATER_IS_BETTER = False


def metric(outputs, targets, groups):
    return torch.nn.functional.cross_entropy(outputs, targets)
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
SEARCH = ("search", "space.py", "--name", "s", "--concurrency", "1", "--no-baselines")
MEASURED = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision"}
MEASURED |= {"worst_group_accuracy", "log_loss", "metric"}


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
    """A search that minimises the task's own metric, without early stopping."""
    folder = folder_with(tmp_path_factory.mktemp("least"), OWN)
    options = ("--trials", "6", "--seeds", "3", "--no-early-stopping")
    return finished_in(folder, *options)


def told(folder: Path, *words: str) -> Any:
    ran = called(folder, *words, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_front_falls(least: Finished) -> None:
    assert least.ran.stdout.startswith("front of 's': metric against seconds of work\n")
    text = called(least.folder, "front", "s", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    values = [float(row["metric"]) for row in rows]
    assert values == sorted(values, reverse=True)
    work = [float(row["work_s"]) for row in rows]
    assert work == sorted(work)
    ends = {event["trial"]: event["metrics"]["metric"] for event in of_kind(least.events, "end")}
    begun = [event["trial"] for event in searched(least.events)]
    assert values[-1] == min(ends[trial] for trial in begun)


def test_the_front_and_the_answer_name_their_metric_and_have_the_others(least: Finished) -> None:
    for row in told(least.folder, "front", "s"):
        assert row["metric"] == "metric"
        assert row["metrics"].keys() == MEASURED
        assert row["metrics"]["metric"] == pytest.approx(row["value"])
    best = told(least.folder, "best", "s")
    assert best["metric"] == "metric"
    again = [e for e in of_kind(least.events, "end") if e["trial"].startswith(f"{best['trial']}-s")]
    assert len(again) == best["seeds"] == 3
    for name in MEASURED:
        mean = sum(end["metrics"][name] for end in again) / 3
        assert best["metrics"][name] == pytest.approx(mean)
    assert best["value"] == pytest.approx(best["metrics"]["metric"])
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
    assert parent.data.params["metric"] == "metric"
    assert parent.data.metrics["picked_metric"] == pytest.approx(best["value"])
    for trial, run in least.tracked.children.items():
        losses = [value for _, value in least.tracked.history(trial, "metric")]
        assert run.data.metrics["best/metric"] == min(losses)
    experiment = least.tracked.client.get_experiment(parent.info.experiment_id)
    (view,) = (
        json.loads(value)
        for key, value in experiment.tags.items()
        if key.startswith("mlflow.sharedViewState.") and not key.endswith("-front")
    )
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].partition(";")[2])))
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`metric`", True)
    shown = {chart["type"]: chart for chart in state["compareRunCharts"] if not chart["deleted"]}
    assert shown["SCATTER"]["yaxis"]["key"] == "metric"
    assert shown["LINE"]["metricKey"] == "metric"
    assert "lower left is better" in least.tracked.artifacts()["report.html"].read_text()


def test_the_pick_is_trained_measured_and_turned_by_it(least: Finished) -> None:
    best = told(least.folder, "best", "s")
    again = told(least.folder, "train", "--from", "s")
    assert again["metric"] == "metric"
    ends = {event["trial"]: event["metrics"] for event in of_kind(least.events, "end")}
    assert again["metrics"]["select"] == ends[best["trial"]]
    repeated = called(least.folder, "rerun", "s", best["trial"])
    assert "metric 0." in repeated.stdout.splitlines()[0]
    assert repeated.stdout.splitlines()[0].endswith("as recorded")
    scaled = called(least.folder, "scale", "--dial", "steps", "--from", "s", "--values", "1")
    assert scaled.returncode == 0, scaled.stderr
    assert "metric" in scaled.stdout.splitlines()[0].split()
    replayed = called(least.folder, "replay", "s", "--seeds", "2")
    no_front = "one trial beats all others in metric and in work"
    assert "ASHA on metric" in replayed.stdout or no_front in replayed.stderr


def test_the_test_split_is_read_with_an_interval_and_recorded(least: Finished) -> None:
    reading = told(least.folder, "finalize", "s")
    assert reading["metric"] == "metric"
    assert reading["interval"][0] < reading["value"] < reading["interval"][1]
    assert reading["metrics"].keys() == MEASURED
    refused = called(least.folder, "finalize", "s")
    assert f": metric {reading['value']:.4f}; --again" in refused.stderr
    parent = Finished(least.folder, least.ran).tracked.parent
    for name, value in reading["metrics"].items():
        assert parent.data.metrics[f"test_{name}"] == value


def test_the_answer_is_read_without_the_task(least: Finished, tmp_path: Path) -> None:
    copy = shutil.copytree(least.folder, tmp_path / "copy")
    (copy / "cancer.py").unlink()
    assert told(copy, "best", "s") == told(least.folder, "best", "s")


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
            "\nwhole = _rows\n\n\ndef _rows(some):\n    return whole(some)[:2]\n",
            "metric 'worst_group_accuracy' needs groups, which the select rows of task '{}' do not "
            "have: ",
        ),
        (
            "auroc",
            "\nCLASSES = 2\nwhole = _rows\n\n\ndef _rows(some):\n"
            "    x, y, groups = whole(some)\n    return x, 0 * y, groups\n",
            "metric 'auroc' has no value on the 100 select rows of task '{}': choose one of ",
        ),
        (
            "auroc",
            "\ndef test():\n    x, y, groups = _rows(slice(450, None))\n"
            "    return x, 0 * y, groups\n",
            "metric 'auroc' has no value on the 119 test rows of task '{}': choose one of ",
        ),
        (
            "worst_group_accuracy",
            "\ndef test():\n    return _rows(slice(450, None))[:2]\n",
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
