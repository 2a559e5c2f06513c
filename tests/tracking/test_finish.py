"""How a search's runs in MLflow end: with its decision, without one, again, or interrupted."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from adiw_tune.tracking.view import front_view_key, view_key

from .helpers import EPOCHS, FakeSearch, all_runs, children, client, make_search, opened, tag


def test_finish_writes_the_decision_and_leaves_nothing_running(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    runs = opened(uri)
    ended = {"event": "end", "trial": "t7"}
    runs.record([event for event in search.events if not ended.items() <= event.items()])
    runs.finish(search.outcome)
    assert "RUNNING" not in {run.info.status for run in all_runs(uri)}
    assert children(uri)["t7"].info.status == "KILLED"  # its end never came
    assert {trial for trial, value in tag(uri, "front").items() if value == "yes"} == {"t6", "t7"}
    assert tag(uri, "best")["t7"] == "yes"
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.info.status == "FINISHED"
    decision = search.outcome.decision
    assert decision is not None
    assert parent.data.metrics["picked_accuracy"] == pytest.approx(decision["value"])
    for name in ("work_s", "retimed_s"):
        assert parent.data.metrics[f"picked_{name}"] == pytest.approx(decision[name])
    assert parent.data.metrics["p_chosen/energy"] == 0.1
    gain = {"gain": -0.02, "gain_low": -0.025, "gain_high": 0.005}
    assert {name: parent.data.metrics[name] for name in gain} == gain
    fates = {"finished": 5, "pruned": 1, "stopped": 1, "failed": 1}
    assert {name: parent.data.metrics[f"trials_{name}"] for name in fates} == fates
    wanted = {"divergence": "erm", "tie": "no", "rule": "fastest-within=0.01", "worth_it": "no"}
    assert {key: parent.data.tags[key] for key in wanted} == wanted
    folder = Path(client(uri).download_artifacts(runs.parent_run_id, "", str(tmp_path)))
    drawn = {"front", "confidence", "importance", "anytime"}
    names = {f"{name}.{kind}" for name in drawn for kind in ("html", "png")}
    names |= {"divergences.png", "report.html", "front.csv", "trials.csv", "decision.json"}
    assert {path.name for path in folder.iterdir() if path.is_file()} >= names
    assert len(pd.read_csv(folder / "front.csv")) == 2
    assert len(pd.read_csv(folder / "trials.csv")) == 8
    assert json.loads((folder / "decision.json").read_text())["trial"] == "t7"


def test_a_search_without_baselines_has_no_gain(uri: str, search: FakeSearch) -> None:
    none = dict.fromkeys(("gain", "gain_interval", "worth_it", "verdict"))
    runs = opened(uri)
    runs.finish(replace(search.outcome, decision={**(search.outcome.decision or {}), **none}))
    data = client(uri).get_run(runs.parent_run_id).data
    assert "worth_it" not in data.tags
    assert not [name for name in data.metrics if name.startswith("gain")]


def test_the_gain_of_single_runs_has_no_ends(uri: str, search: FakeSearch) -> None:
    single = {"gain": 0.06, "gain_interval": None, "worth_it": "undecided"}
    runs = opened(uri)
    runs.finish(replace(search.outcome, decision={**(search.outcome.decision or {}), **single}))
    data = client(uri).get_run(runs.parent_run_id).data
    assert data.tags["worth_it"] == "undecided"
    gains = {name: value for name, value in data.metrics.items() if name.startswith("gain")}
    assert gains == {"gain": 0.06}


def test_hypervolume_has_a_point_for_each_finished_trial(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.log_hypervolume([0.1])
    runs.log_hypervolume([0.1, 0.2])
    runs.finish(search.outcome)
    runs.finish(search.outcome)
    history = client(uri).get_metric_history(runs.parent_run_id, "hypervolume")
    values = list(search.outcome.hypervolume)
    assert [(point.step, point.value) for point in history] == list(enumerate(values, start=1))


def test_an_extended_search_is_finished_again_without_duplicates(uri: str) -> None:
    small, large = make_search(6), make_search(8)
    runs = opened(uri)
    runs.record(small.events)
    runs.finish(small.outcome)
    runs.finish(small.outcome)
    extended = opened(uri)
    extended.record(large.events)
    extended.finish(large.outcome)
    best = tag(uri, "best")
    assert [trial for trial, value in best.items() if value == "yes"] == ["t7"]
    history = client(uri).get_metric_history(runs.parent_run_id, "picked_accuracy")
    assert [point.step for point in history] == [6, 8]
    experiment = client(uri).get_experiment(runs.experiment_id)
    views = {key for key in experiment.tags if "sharedViewState" in key}
    keys = (view_key(runs.parent_run_id), front_view_key(runs.parent_run_id))
    assert views == {f"mlflow.sharedViewState.{key}" for key in keys}


def test_a_search_in_which_every_trial_failed(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record([event for event in search.events if event["event"] != "epoch"])
    runs.finish(search.without_decision("failed"))
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.info.status == "FAILED"
    assert "No trial finished" in parent.data.tags["mlflow.note.content"]


def test_a_search_without_any_trial(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    nothing = search.without_decision("failed")
    runs.finish(replace(nothing, trials=nothing.trials.head(0)))
    assert client(uri).get_run(runs.parent_run_id).info.status == "FAILED"


def test_interrupt_leaves_nothing_running(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record(search.events[: EPOCHS + 3])
    runs.interrupt()
    assert {run.info.status for run in all_runs(uri)} == {"KILLED"}
