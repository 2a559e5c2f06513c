import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from adiw_tune.tracking.check import check_tracking_uri
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi
from adiw_tune.tracking.view import view_key

from .helpers import (
    EPOCHS,
    FakeSearch,
    all_runs,
    children,
    client,
    expected_history,
    make_search,
    stored_history,
)

PARAMETERS = {"samples": 8, "space": "small.py"}
COMMAND = "adiw-tune train --trial trial07"


def opened(uri: str, parameters: dict[str, object] | None = None) -> SearchRuns:
    return SearchRuns.open(uri, "digits", parameters or PARAMETERS, "search-1")


def finish(runs: SearchRuns, search: FakeSearch) -> None:
    runs.finish(search.front, search.decision, search.trials, COMMAND)


def tag(uri: str, key: str) -> dict[str, str | None]:
    return {trial: run.data.tags.get(key) for trial, run in children(uri).items()}


def test_every_trial_becomes_a_child_with_its_parameters(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record(search.events)
    found = children(uri)
    assert len(found) == 8
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {runs.parent_run_id}
    assert found["trial02"].info.run_name == "mmd-2"
    assert found["trial00"].info.run_name == "erm-0"
    assert found["trial00"].data.params["divergence"] == "erm"
    assert found["trial02"].data.params["batch_size"] == "256"
    assert set(tag(uri, "front").values()) == {"no"}


def test_sending_events_again_adds_nothing(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    assert stored_history(uri) == expected_history(search.events)
    opened(uri).record(search.events)  # by a process that knows nothing of the first
    assert stored_history(uri) == expected_history(search.events)


def test_a_resumed_search_goes_on_in_the_same_runs(uri: str, search: FakeSearch) -> None:
    first = opened(uri)
    cut = len(search.events) // 2
    first.record(search.events[:cut])
    first.interrupt()
    resumed = opened(uri, {**PARAMETERS, "samples": 16})
    assert resumed.parent_run_id == first.parent_run_id
    parent = client(uri).get_run(resumed.parent_run_id)
    assert parent.info.status == "RUNNING"
    assert parent.data.params["samples"] == "8"
    assert parent.data.tags["resumed.samples"] == "16"
    repeated = {**search.events[0], "time": 0.0}
    resumed.record([repeated, *search.events[cut:]])
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 9


def test_statuses_and_the_reason_of_a_failure(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    found = children(uri)
    assert found["trial02"].info.status == "FINISHED"
    assert found["trial03"].info.status == "FAILED"
    assert found["trial03"].data.tags["failure"] == "weights became NaN"
    assert "weights became NaN" in found["trial03"].data.tags["mlflow.note.content"]
    assert found["trial04"].info.status == "KILLED"
    ended = search.events[-1]["time"] * 1000
    assert found["trial07"].info.end_time == ended


def test_missing_and_non_finite_numbers_do_not_stop_the_record(uri: str) -> None:
    point = {"event": "epoch", "trial": "t", "epoch": 1, "accuracy": 0.1, "time": 1.8e9}
    opened(uri).record(
        [
            {"event": "trial", "trial": "t", "number": 0, "config": {}, "time": 1.8e9},
            {**point, "train_seconds": None, "loss": float("nan")},
        ]
    )
    assert set(children(uri)["t"].data.metrics) == {"accuracy", "loss"}


def test_shares_of_a_mixture_are_metrics_of_each_divergence(uri: str) -> None:
    config = {"method": "adiw", "divergence": "auto"}
    point = {"accuracy": 0.5, "train_seconds": 1.0, "loss": 1.0}
    events = [{"event": "trial", "trial": "t", "number": 0, "config": config, "time": 1.8e9}]
    for epoch, mmd in ((1, 0.5), (2, 0.75)):
        shares = {"mmd": mmd, "kl": 1 - mmd}
        at = {"epoch": epoch, "time": 1.8e9 + epoch}
        events.append({"event": "epoch", "trial": "t", **at, **point, "shares": shares})
    for _ in range(2):  # sent again, nothing is there twice
        opened(uri).record(events)
    assert children(uri)["t"].info.run_name == "auto-0"
    history = stored_history(uri)["t"]
    assert [(step, value) for step, _, value in history["share/mmd"]] == [(1, 0.5), (2, 0.75)]
    assert [(step, value) for step, _, value in history["share/kl"]] == [(1, 0.5), (2, 0.25)]
    assert set(history) == {"accuracy", "train_seconds", "loss", "share/mmd", "share/kl"}


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"divergence": "kl"}, "kl"),
        ({"method": "adiw", "divergence": "/home/me/near.py"}, "near.py"),
        ({"method": "random", "divergence": "auto"}, "random"),
        ({}, "trial"),
    ],
)
def test_a_trial_goes_by_its_divergence_or_its_method(
    uri: str, config: dict[str, str], label: str
) -> None:
    event = {"event": "trial", "trial": "t", "number": 3, "config": config, "time": 1.8e9}
    opened(uri).record([event])
    run = children(uri)["t"]
    assert run.info.run_name == f"{label}-3"
    assert run.data.tags["divergence"] == label
    assert run.data.params.get("divergence") == (label if config else None)


def test_more_epochs_than_one_call_takes(uri: str) -> None:
    events = [{"event": "trial", "trial": "t", "number": 0, "config": {}, "time": 1.8e9}]
    for epoch in range(400):
        point = {"accuracy": 0.5, "train_seconds": float(epoch), "loss": 1.0}
        events.append(
            {"event": "epoch", "trial": "t", "epoch": epoch, "time": 1.8e9 + epoch, **point}
        )
    opened(uri).record(events)
    assert stored_history(uri) == expected_history(events)


def test_finish_writes_the_decision_and_leaves_nothing_running(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    runs = opened(uri)
    runs.record([event for event in search.events if event != search.events[-1]])
    finish(runs, search)
    assert "RUNNING" not in {run.info.status for run in all_runs(uri)}
    assert children(uri)["trial07"].info.status == "KILLED"  # its end never came
    fronts = {trial for trial, value in tag(uri, "front").items() if value == "yes"}
    assert fronts == {"trial06", "trial07"}
    assert tag(uri, "best")["trial07"] == "yes"
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["picked_accuracy"] == pytest.approx(search.decision["accuracy"])
    assert parent.data.metrics["trials_failed"] == 1
    note = parent.data.tags["mlflow.note.content"]
    assert f"**{search.decision['divergence']}**" in note
    assert COMMAND in note
    folder = Path(client(uri).download_artifacts(runs.parent_run_id, "", str(tmp_path)))
    names = {path.name for path in folder.iterdir() if path.name.startswith(("front", "decision"))}
    assert names == {"front.csv", "front.html", "front.png", "decision.json"}
    assert len(pd.read_csv(folder / "front.csv")) == 2
    assert json.loads((folder / "decision.json").read_text())["trial"] == "trial07"


def test_an_extended_search_is_finished_again_without_duplicates(uri: str) -> None:
    small, large = make_search(6), make_search(8)
    runs = opened(uri)
    runs.record(small.events)
    finish(runs, small)
    finish(runs, small)
    extended = opened(uri)
    extended.record(large.events)
    finish(extended, large)
    best = tag(uri, "best")
    assert [trial for trial, value in best.items() if value == "yes"] == ["trial07"]
    assert len(all_runs(uri)) == 9
    history = client(uri).get_metric_history(runs.parent_run_id, "picked_accuracy")
    assert [point.step for point in history] == [6, 8]
    experiment = client(uri).get_experiment(runs.experiment_id)
    assert f"mlflow.sharedViewState.{view_key(runs.parent_run_id)}" in experiment.tags
    assert len([key for key in experiment.tags if "sharedViewState" in key]) == 1


def test_a_search_in_which_every_trial_failed(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    events = [event for event in search.events if event["event"] != "epoch"]
    runs.record(events)
    trials = search.trials.assign(status="failed", accuracy=None, on_front=False)
    runs.finish(trials[trials["on_front"]], None, trials, "")
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.info.status == "FAILED"
    assert "No trial finished" in parent.data.tags["mlflow.note.content"]


def test_a_search_without_any_trial(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    none = search.trials.head(0)
    runs.finish(none, None, none, "")
    assert client(uri).get_run(runs.parent_run_id).info.status == "FAILED"


def test_interrupt_leaves_nothing_running(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record(search.events[: EPOCHS + 1])
    runs.interrupt()
    assert {run.info.status for run in all_runs(uri)} == {"KILLED"}


def test_find_returns_a_recorded_search_and_creates_none(uri: str) -> None:
    assert SearchRuns.find(uri, "search-1") is None
    runs = opened(uri)
    found = SearchRuns.find(uri, "search-1")
    assert found is not None
    assert found.parent_run_id == runs.parent_run_id
    assert SearchRuns.find(uri, "search-2") is None
    assert len(all_runs(uri)) == 1


def test_through_a_server_the_same_and_the_server_keeps_the_files(
    uri: str,
    search: FakeSearch,
    servers: Callable[..., ServedUi],
    capfd: pytest.CaptureFixture[str],
) -> None:
    served = servers()
    address = served.base_url.replace("http://", "http://anna:s3cret@")
    check_tracking_uri(address)
    for _ in range(2):
        runs = opened(address)
        runs.record(search.events)
        finish(runs, search)
    assert "s3cret" not in "".join(capfd.readouterr())
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 9
    assert "RUNNING" not in {run.info.status for run in all_runs(uri)}
    files = {file.path for file in client(served.base_url).list_artifacts(runs.parent_run_id)}
    assert {"front.csv", "front.html", "front.png", "decision.json"} <= files
    assert client(uri).get_run(runs.parent_run_id).info.artifact_uri.startswith("mlflow-artifacts:")


def test_artifacts_lie_next_to_the_database(uri: str, tmp_path: Path) -> None:
    parent = client(uri).get_run(opened(uri).parent_run_id)
    assert parent.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
