from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.tracking.check import check_tracking_uri
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi

from .helpers import (
    FAILED,
    PARAMETERS,
    PRUNED,
    RUNG,
    SEEDS,
    SPENT,
    STOPPED,
    FakeSearch,
    all_runs,
    children,
    client,
    expected_history,
    opened,
    stored_history,
    tag,
)


def count_of(search: FakeSearch) -> int:
    return len(expected_history(search.events))


def reached(epoch: int, metrics: dict[str, float | None]) -> dict[str, Any]:
    return {"event": "epoch", "trial": "t", "epoch": epoch, "metrics": metrics, "time": 1.8e9}


def test_every_trial_becomes_a_child_with_its_parameters(uri: str, search: FakeSearch) -> None:
    runs = opened(uri)
    runs.record(search.events)
    found = children(uri)
    assert len(found) == 8 + 2 * SEEDS
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {runs.parent_run_id}
    assert found["t2"].info.run_name == "mmd-2"
    assert found["t0"].info.run_name == "erm-0"
    assert found["t0"].data.params["divergence"] == "erm"
    assert found["t2"].data.params["batch_size"] == "256"
    assert set(tag(uri, "front").values()) == {"no"}
    assert set(tag(uri, "search").values()) == {"digits"}
    assert set(tag(uri, "adiw.search_id").values()) == {"search-1"}


def test_reruns_are_children_of_their_own_kind(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    found = children(uri)
    assert found["t6-seed1"].info.run_name == "energy-6-seed1"
    assert found["t6-seed1"].data.tags["kind"] == "seed"
    assert found["t6-seed1"].data.tags["of"] == "t6"
    assert found["t6"].data.tags["kind"] == "search"
    assert "of" not in {key for key, value in found["t6"].data.tags.items() if value}


def test_what_a_run_was_set_up_with_is_in_its_tags(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    tags = children(uri)["t2"].data.tags
    assert tags["device"] == "cpu"
    assert tags["split.select"] == "bb22"
    assert (tags["plain_s"], tags["ratio"]) == ("0.5", "1.2")
    assert tags["version.torch"] == "2.15.0"
    assert "version.adiw-tune" not in tags  # it is not known


def test_the_best_epoch_is_not_the_last(uri: str) -> None:
    begun = {"event": "trial", "trial": "t", "number": 0, "config": {}, "time": 1.8e9}
    epochs = [
        reached(epoch, {"accuracy": accuracy}) | {"work_s": 2.0 * epoch, "wall_s": 3.0, "loss": 1.0}
        for epoch, accuracy in ((1, 0.5), (2, 0.8), (3, 0.8), (4, float("nan")))
    ]
    end = {"event": "end", "trial": "t", "status": "finished", "time": 1.8e9}
    opened(uri).record([begun, *epochs])
    for _ in range(2):
        opened(uri).record([end])  # by a process that knows only the end
    history = stored_history(uri)["t"]
    assert [(step, value) for step, _, value in history["best/accuracy"]] == [(2, 0.8)]
    assert history["best/epoch"][0][2] == 2
    assert history["best/work_s"][0][2] == 4.0


def test_sending_events_again_adds_nothing(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    assert stored_history(uri) == expected_history(search.events)
    opened(uri).record(search.events)  # by a process that knows nothing of the first
    assert stored_history(uri) == expected_history(search.events)


def test_what_a_trial_has_in_a_batch_is_three_calls(
    uri: str, search: FakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    calls: Counter[str] = Counter()
    for name in vars(MlflowClient):
        if name.startswith(("log_", "set_", "get_", "create_run", "search_runs", "update_")):
            real = getattr(MlflowClient, name)

            def counted(*args: Any, real: Any = real, name: str = name, **kwargs: Any) -> Any:
                calls[name] += 1
                return real(*args, **kwargs)

            monkeypatch.setattr(MlflowClient, name, counted)
    runs = opened(uri)
    calls.clear()
    runs.record(search.events)
    trials = count_of(search)
    once = dict.fromkeys(("create_run", "log_batch", "set_terminated"), trials)
    assert calls == {**once, "search_runs": 1}


def test_a_run_that_was_created_though_its_answer_was_lost_is_found_again(
    uri: str, search: FakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    create = MlflowClient.create_run
    created: list[Any] = []

    def lose_the_third(*args: Any, **kwargs: Any) -> Any:
        created.append(create(*args, **kwargs))
        if len(created) == 3:
            raise ConnectionError("the server is gone")
        return created[-1]

    runs = opened(uri)
    monkeypatch.setattr(MlflowClient, "create_run", lose_the_third)
    with pytest.raises(ConnectionError):
        runs.record(search.events)
    runs.record(search.events)
    assert len(created) == count_of(search)
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
    repeated = {**search.events[1], "time": 0.0}
    resumed.record([repeated, *search.events[cut:]])
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 1 + count_of(search)


def test_statuses_and_reasons(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    found = children(uri)
    assert found["t2"].info.status == "FINISHED"
    assert found[FAILED].info.status == "FAILED"
    assert found[FAILED].data.tags["failure"] == "weights became NaN"
    assert "weights became NaN" in found[FAILED].data.tags["mlflow.note.content"]
    assert found[STOPPED].info.status == "KILLED"
    assert "failure" not in found[STOPPED].data.tags
    assert found["t7"].info.end_time == (1.8e9 + 10 * 7 + 9) * 1000


def test_a_cut_trial_is_killed_and_says_where(uri: str, search: FakeSearch) -> None:
    opened(uri).record(search.events)
    found = children(uri)
    assert found[PRUNED].info.status == "KILLED"
    assert found[PRUNED].data.tags["rung"] == str(RUNG)
    assert {trial for trial, value in tag(uri, "pruned").items() if value == "yes"} == {PRUNED}
    assert {trial for trial, value in tag(uri, "rung").items() if value} == {PRUNED}


def test_missing_and_non_finite_numbers_do_not_stop_the_record(uri: str) -> None:
    point = reached(1, {"accuracy": 0.1, "auroc": None})
    opened(uri).record(
        [
            {"event": "trial", "trial": "t", "number": 0, "config": {}, "time": 1.8e9},
            {**point, "work_s": None, "wall_s": None, "loss": float("nan")},
        ]
    )
    assert set(children(uri)["t"].data.metrics) == {"accuracy", "loss"}


def test_what_a_space_suggests_and_calls_infeasible_is_shown(uri: str) -> None:
    suggested = {"lr (exp)": -2.5, "../input": "loss", "steps": 3}
    config = {"divergence": "kl", "steps": 6}
    begun = {"event": "trial", "trial": "t", "number": 0, "config": config, "params": suggested}
    skipped = [{"event": "skipped", "number": n, "time": 1.8e9 + n} for n in (1, 2)]
    for _ in range(2):  # sent again, nothing is there twice
        runs = opened(uri)
        runs.record([{**begun, "time": 1.8e9}, *skipped])
    params = {"divergence": "kl", "steps": "6", "lr _exp_": "-2.5", "___input": "loss"}
    assert children(uri)["t"].data.params == params
    points = client(uri).get_metric_history(runs.parent_run_id, "points_skipped")
    assert [(point.step, point.value) for point in points] == [(2, 2.0)]


def test_shares_of_a_mixture_are_metrics_of_each_divergence(uri: str) -> None:
    config = {"method": "adiw", "divergence": "auto"}
    point = {"metrics": {"accuracy": 0.5}, "work_s": 1.0, "wall_s": 1.0, "loss": 1.0}
    events = [{"event": "trial", "trial": "t", "number": 0, "config": config, "time": 1.8e9}]
    for epoch, mmd in ((1, 0.5), (2, 0.75)):
        shares = {"mmd": mmd, "k+l.py": 1 - mmd}
        at = {"epoch": epoch, "time": 1.8e9 + epoch}
        events.append({"event": "epoch", "trial": "t", **at, **point, "shares": shares})
    for _ in range(2):  # sent again, nothing is there twice
        opened(uri).record(events)
    assert children(uri)["t"].info.run_name == "auto-0"
    history = stored_history(uri)["t"]
    assert [(step, value) for step, _, value in history["share/mmd"]] == [(1, 0.5), (2, 0.75)]
    assert [(step, value) for step, _, value in history["share/k_l.py"]] == [(1, 0.5), (2, 0.25)]
    assert set(history) == {"accuracy", *SPENT, "share/mmd", "share/k_l.py"}


def test_mini_batches_that_were_not_weighed_are_a_metric_where_there_are_any(uri: str) -> None:
    events = [{"event": "trial", "trial": "t", "number": 0, "config": {}, "time": 1.8e9}]
    for epoch, unweighed in ((1, 0), (2, 3)):
        at = {"epoch": epoch, "metrics": {"accuracy": 0.5}, "time": 1.8e9 + epoch}
        events.append({"event": "epoch", "trial": "t", **at, "unweighed": unweighed})
    opened(uri).record(events)
    history = stored_history(uri)["t"]
    assert [(step, value) for step, _, value in history["unweighed"]] == [(2, 3)]


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
    for epoch in range(300):
        point = {"metrics": {"accuracy": 0.5}, "work_s": float(epoch), "wall_s": 1.0, "loss": 1.0}
        events.append(
            {"event": "epoch", "trial": "t", "epoch": epoch, "time": 1.8e9 + epoch, **point}
        )
    opened(uri).record(events)
    assert stored_history(uri) == expected_history(events)


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
        runs.finish(search.outcome)
    assert "s3cret" not in "".join(capfd.readouterr())
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 1 + count_of(search)
    assert "RUNNING" not in {run.info.status for run in all_runs(uri)}
    files = {file.path for file in client(served.base_url).list_artifacts(runs.parent_run_id)}
    assert {"report.html", "front.csv", "front.html", "front.png", "decision.json"} <= files
    assert client(uri).get_run(runs.parent_run_id).info.artifact_uri.startswith("mlflow-artifacts:")


def test_artifacts_lie_next_to_the_database(uri: str, tmp_path: Path) -> None:
    parent = client(uri).get_run(opened(uri).parent_run_id)
    assert parent.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
