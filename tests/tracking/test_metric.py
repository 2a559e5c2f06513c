"""A search for little of a metric, in MLflow: the right way round, and by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from adiw_tune.metrics import METRICS, OWN
from adiw_tune.tracking.artifacts import write_artifacts
from adiw_tune.tracking.description import describe
from adiw_tune.tracking.figures.anytime import anytime_chart
from adiw_tune.tracking.figures.chart import Line
from adiw_tune.tracking.figures.confidence import confidence_chart
from adiw_tune.tracking.figures.front import front_chart, per_divergence_chart
from adiw_tune.tracking.figures.importance import importance_chart
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.view import _page_state

from .helpers import FakeSearch, client, expected_history, make_search, stored_history

LOSS = METRICS["log_loss"]


@pytest.fixture
def least() -> FakeSearch:
    return make_search(metric=LOSS)


def test_runs_have_each_metric_and_the_least_is_the_best(uri: str, least: FakeSearch) -> None:
    runs = SearchRuns.open(uri, "digits", {}, "search-1", LOSS)
    runs.record(least.events)
    history = stored_history(uri)
    assert history == expected_history(least.events, LOSS)
    assert {"log_loss", "auroc", "best/log_loss"} < history["t7"].keys()
    (best,) = history["t7"]["best/log_loss"]
    assert best[2] == min(value for _, _, value in history["t7"]["log_loss"])
    runs.finish(least.outcome)
    decision = least.outcome.decision
    assert decision is not None
    parent = client(uri).get_run(runs.parent_run_id)
    assert parent.data.metrics["picked_log_loss"] == pytest.approx(decision["value"])


def test_a_reading_is_a_metric_for_each(uri: str) -> None:
    runs = SearchRuns.open(uri, "digits", {}, "search-1", LOSS)
    reading = {"event": "test_read", "trial": "t", "rows": 9, "again": False, "time": 1.8e9}
    reading["metrics"] = {"log_loss": 0.25, "accuracy": 0.9, "auroc": None}
    for _ in range(2):  # sent again, nothing is there twice
        runs.record([reading])
    for name, value in (("test_log_loss", 0.25), ("test_accuracy", 0.9)):
        (point,) = client(uri).get_metric_history(runs.parent_run_id, name)
        assert point.value == value
    assert "test_auroc" not in client(uri).get_run(runs.parent_run_id).data.metrics


def test_the_view_shows_it_least_first_and_no_chart_of_those_beside(least: FakeSearch) -> None:
    state = _page_state("", ["steps"], LOSS)
    assert state["orderByKey"] == "metrics.`log_loss`"
    assert state["orderByAsc"]
    assert state["selectedColumns"][0] == "metrics.`log_loss`"
    by_kind = {chart["type"]: chart for chart in state["compareRunCharts"] if not chart["deleted"]}
    assert by_kind["SCATTER"]["yaxis"]["key"] == "log_loss"
    assert by_kind["LINE"]["selectedMetricKeys"] == ["log_loss"]
    assert by_kind["PARALLEL"]["selectedMetrics"] == ["log_loss"]
    without = {chart["metricKey"] for chart in state["compareRunCharts"] if chart["deleted"]}
    assert {"accuracy", "worst_group_accuracy", "best/log_loss", OWN} < without
    assert "log_loss" not in without


def test_the_front_steps_down_and_lower_left_is_better(least: FakeSearch) -> None:
    front = front_chart(least.outcome)
    assert front.title == "log_loss against work"
    assert "lower left is better" in front.subtitle
    assert front.panels[0].y_title == "log_loss on the select split"
    each = per_divergence_chart(least.outcome)
    assert "lower left is better" in each.subtitle
    (erm,) = (panel for panel in each.panels if panel.title.startswith("erm"))
    (line,) = (mark for mark in erm.marks if isinstance(mark, Line))
    assert list(line.y) == pytest.approx([0.16])  # the other is as expensive, and has more


def test_the_best_so_far_falls(least: FakeSearch) -> None:
    chart = anytime_chart(least.outcome)
    best = [mark for mark in chart.panels[0].marks if isinstance(mark, Line)][-1]
    assert list(best.y) == sorted(best.y, reverse=True)
    assert best.y[-1] == least.outcome.curves["log_loss"].min()
    assert chart.panels[0].y_title == "log_loss on the select split"
    assert "log_loss" in confidence_chart(least.outcome).panels[1].x_title
    assert importance_chart(least.outcome).panels[0].x_title == "share of log_loss's variation"


def test_report_and_description_name_it_and_begin_with_the_least(
    least: FakeSearch, tmp_path: Path
) -> None:
    text = describe(least.outcome, "front.png", "rows.html")
    assert "\n**erm**, plain training on the training rows (trial `t7`): log_loss 0.1600 [" in text
    assert "-0.02 \\[-0.025, 0.005\\] over erm" in text.splitlines()[0]
    assert "no trial is both better by log_loss and cheaper" in text
    rows = [line for line in text.splitlines() if line.endswith(("t6 |", "t7** |"))]
    assert "0.1600" in rows[0]
    assert "0.1800" in rows[1]
    write_artifacts("digits", least.outcome, tmp_path)
    report = (tmp_path / "report.html").read_text().rpartition("<h2>All trials</h2>")[2]
    places = [report.index(f">{name}<") for name in ("t7", "t6", "t2", "t1", "t0")]
    assert places == sorted(places)  # least first
    assert (tmp_path / "front.csv").read_text().startswith("trial,")
    assert "log_loss" in (tmp_path / "trials.csv").read_text().splitlines()[0].split(",")
