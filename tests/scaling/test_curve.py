"""How well a point scales, and what is drawn of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from adiw_tune.scaling.curve import curve
from adiw_tune.scaling.dial import Point
from adiw_tune.scaling.point import Failed
from adiw_tune.scaling.worker import Measured
from adiw_tune.tracking.figures.chart import Points
from adiw_tune.tracking.figures.in_matplotlib import write_picture
from adiw_tune.tracking.figures.in_plotly import figure_of
from adiw_tune.tracking.figures.scaling import scale_chart
from adiw_tune.training import TrialConfig

ONE = Measured(
    rows_per_s=1000.0,
    rows_per_work_s=2000.0,
    wall_s=1.0,
    work_s=0.5,
    plain_s=0.001,
    ratio=1.5,
    peak_memory_bytes=3 * 2**29,
    metric_value=0.9,
)
TWO = replace(ONE, rows_per_s=1600.0, rows_per_work_s=1000.0)
LOST = Failed("killed")


def points_of(dial: str, *outcomes: Measured | Failed) -> pd.DataFrame:
    points = [Point(2**k, TrialConfig()) for k in range(len(outcomes))]
    return curve(dial, list(zip(points, outcomes, strict=True)))


def test_workers_are_measured_by_wall_time_and_each() -> None:
    assert list(points_of("workers", ONE, TWO)["efficiency"]) == [1.0, 0.8]


def test_other_dials_by_work_and_the_first() -> None:
    assert list(points_of("steps", ONE, TWO)["efficiency"]) == [1.0, 0.5]


def test_a_failed_point_says_why_and_the_next_is_the_first() -> None:
    table = points_of("workers", LOST, ONE, TWO)
    assert list(table["status"]) == ["failed", "finished", "finished"]
    assert table["reason"][0] == "killed"
    numbers = table.drop(columns=["dial", "value", "status", "reason"])
    assert numbers.iloc[0].isna().all()
    assert numbers.iloc[1:].notna().all(axis=None)
    assert list(table["efficiency"])[1:] == [1.0, pytest.approx(0.8)]
    assert table["peak_memory_gib"][1] == 1.5


def test_where_memory_is_not_told_the_rest_is() -> None:
    table = points_of("steps", replace(ONE, peak_memory_bytes=None))
    assert math.isnan(table["peak_memory_gib"][0])
    assert table["efficiency"][0] == 1.0


def test_the_figure_shows_what_finished_and_names_what_failed(tmp_path: Path) -> None:
    chart = scale_chart(
        "workers", "workers", "mmd-0", points_of("workers", ONE, LOST, TWO), "accuracy"
    )
    assert chart.subtitle.endswith("; failed: 2")
    drawn = [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, Points)]
    assert {tuple(mark.x) for mark in drawn} == {(1.0, 4.0)}
    assert [list(mark.y) for mark in drawn[:3]] == [[1000, 1600], [2000, 1000], [1.0, 0.4]]
    page = figure_of(chart).to_dict()["layout"]
    assert page["xaxis"]["type"] == "log"
    assert page["yaxis"]["rangemode"] == "tozero"
    write_picture(chart, tmp_path / "chart.png")
    pixels = imread(tmp_path / "chart.png")[:, :, :3]
    for colour in {mark.look.colour for mark in drawn}:
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels - rgb).max(axis=2) < 0.01).sum() > 20, colour


def test_a_figure_of_no_point_says_so(tmp_path: Path) -> None:
    for table in (points_of("steps", LOST), points_of("steps")):
        chart = scale_chart("steps", "steps", "mmd-0", table, "accuracy")
        assert chart.note in figure_of(chart).to_json()
        write_picture(chart, tmp_path / "chart.png")
