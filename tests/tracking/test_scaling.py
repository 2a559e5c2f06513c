"""A curve in MLflow: a run beside the trials, and none of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.scaling import Scale, ScaleRun

from .helpers import FakeSearch, all_runs, client

CONFIG = {"method": "adiw", "divergence": "mmd", "batch_size": 64, "seed": 0, "network": None}
SCALE = Scale("steps", "weight steps", "t2", "mmd-2", CONFIG, "cpu", 1, "rmse", "a machine", "abc+")
METRICS = ("rows_per_s", "rows_per_work_s", "efficiency", "wall_s", "work_s", "ratio")
METRICS += ("peak_memory_gib", "rmse")
CURVE = pd.DataFrame(
    {
        "dial": "steps",
        "value": [1, 4, 16],
        "status": ["finished", "failed", "finished"],
        **{name: [1.5, float("nan"), 0.5] for name in METRICS},
        "reason": [None, "killed", None],
    }
)


def scales(uri: str) -> list[object]:
    return [run for run in all_runs(uri) if run.data.tags.get("kind") == "scale"]


def test_a_curve_is_a_run_whose_steps_are_the_dials_values(uri: str, search: FakeSearch) -> None:
    runs = SearchRuns.open(uri, "digits", {}, "search-1")
    run = ScaleRun.start(uri, "search-1", SCALE)
    assert run is not None
    run.record(CURVE.head(1))
    run.finish(CURVE, "FINISHED")
    run.finish(CURVE, "FINISHED")  # as when the first answer was lost
    (stored,) = scales(uri)
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "mmd-2-scale-steps"
    assert stored.data.tags["mlflow.parentRunId"] == runs.parent_run_id
    assert stored.data.tags["commit"] == "abc+"
    for name in METRICS:
        points = client(uri).get_metric_history(stored.info.run_id, name)
        assert [(point.step, point.value) for point in points] == [(1, 1.5), (16, 0.5)]
    told = {"dial": "steps", "device": "cpu", "seeds": "1"}
    fixed = {"method": "adiw", "divergence": "mmd", "batch_size": "64", "seed": "0"}
    assert stored.data.params == {**told, **fixed}
    note = stored.data.tags["mlflow.note.content"]
    assert "| 16 |" in note
    assert "killed" in note
    folder = Path(stored.info.artifact_uri.removeprefix("file://"))
    names = {path.name for path in folder.iterdir()}
    assert names == {"scale-steps.csv", "scale-steps.html", "scale-steps.png"}
    assert list(pd.read_csv(folder / "scale-steps.csv")["value"]) == [1, 4, 16]


def test_the_search_takes_it_for_no_trial(uri: str, search: FakeSearch) -> None:
    runs = SearchRuns.open(uri, "digits", {}, "search-1")
    runs.record(search.events)
    first, second = (ScaleRun.start(uri, "search-1", SCALE) for _ in range(2))
    assert first is not None
    assert second is not None
    before = [run.data.tags for run in scales(uri)]
    runs.interrupt()
    runs.finish(search.outcome)
    assert SearchRuns.open(uri, "digits", {}, "search-1").parent_run_id == runs.parent_run_id
    assert [run.data.tags for run in scales(uri)] == before
    assert [run.info.status for run in scales(uri)] == ["RUNNING", "RUNNING"]


def test_without_the_search_there_is_none(uri: str) -> None:
    assert ScaleRun.start(uri, "search-1", SCALE) is None
    SearchRuns.open(uri, "digits", {}, "search-2")
    assert ScaleRun.start(uri, "search-1", SCALE) is None
    assert scales(uri) == []
