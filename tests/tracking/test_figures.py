import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures.anytime import CUT, anytime_chart
from adiw_tune.tracking.figures.chart import Bars, Chart, Line, Points
from adiw_tune.tracking.figures.confidence import confidence_chart
from adiw_tune.tracking.figures.front import front_chart, per_divergence_chart
from adiw_tune.tracking.figures.importance import importance_chart
from adiw_tune.tracking.figures.in_matplotlib import write_picture
from adiw_tune.tracking.figures.in_plotly import figure_of, write_page
from adiw_tune.tracking.outcome import Outcome

from .helpers import RUNG, SEEDS, FakeSearch

CHARTS = [front_chart, per_divergence_chart, confidence_chart, importance_chart, anytime_chart]


def points(chart: Chart, panel: int = 0) -> list[Points]:
    return [mark for mark in chart.panels[panel].marks if isinstance(mark, Points)]


def lines(chart: Chart, panel: int = 0) -> list[Line]:
    return [mark for mark in chart.panels[panel].marks if isinstance(mark, Line)]


def test_the_front_shows_finished_trials_only_and_the_winner(search: FakeSearch) -> None:
    chart = front_chart(search.outcome)
    drawn = [mark for mark in points(chart) if not mark.star]
    assert sum(len(mark.x) for mark in drawn) == 5  # a cut, a stopped and a failed one are not
    assert "3 cut, stopped or failed not drawn" in chart.subtitle
    (line,) = lines(chart)
    assert list(line.x) == sorted(search.outcome.front["work_s"])
    (star,) = [mark for mark in points(chart) if mark.star]
    assert "steps = " in star.hover[0]
    assert "trial t7" in star.hover[0]
    assert "work" in chart.panels[0].x_title
    assert "calibrated alone" in chart.panels[0].x_title


def test_trials_off_the_front_are_faint(search: FakeSearch) -> None:
    drawn = [mark for mark in points(front_chart(search.outcome)) if not mark.star]
    faint = {
        mark.faint: sum(len(some.x) for some in drawn if some.faint == mark.faint) for mark in drawn
    }
    assert faint == {True: 3, False: 2}


def test_each_divergence_has_a_panel_with_its_own_front(search: FakeSearch) -> None:
    chart = per_divergence_chart(search.outcome)
    assert [panel.title for panel in chart.panels] == [
        "diw: 1 trial",
        "energy: 1 trial",
        "erm: 2 trials",
        "mmd: 1 trial",
    ]
    erm = points(chart, 2)
    assert len(erm[0].x) == 3  # the others, grey
    own = {mark.faint: list(mark.y) for mark in erm[1:] if not mark.star}
    assert own == {True: [0.7], False: [0.84]}  # as expensive and less accurate
    assert list(lines(chart, 2)[0].y) == [0.84]


def test_evidence_shows_probability_interval_and_each_seed(search: FakeSearch) -> None:
    chart = confidence_chart(search.outcome)
    (bars,) = chart.panels[0].marks
    assert isinstance(bars, Bars)
    assert (list(bars.labels), list(bars.values)) == (["erm", "energy"], [0.9, 0.1])
    seeds, interval, *_ = points(chart, 1)
    assert len(seeds.x) == SEEDS
    assert (list(interval.low), list(interval.high)) == ([0.84 - 0.01], [0.84 + 0.01])


def test_an_only_finalist_is_shown_though_nothing_was_chosen(search: FakeSearch) -> None:
    decision = dict(search.outcome.decision or {})
    only = {**decision["best_per_divergence"][0], "p_chosen": None}
    outcome = replace(search.outcome, decision={**decision, "best_per_divergence": [only]})
    chart = confidence_chart(outcome)
    (bars,) = chart.panels[0].marks
    assert isinstance(bars, Bars)
    assert (list(bars.values), list(bars.texts)) == ([0.0], ["the only finalist"])
    assert len(points(chart, 1)) == 2
    assert not chart.note


def test_baselines_are_told_from_divergences(search: FakeSearch) -> None:
    for make in (front_chart, per_divergence_chart, confidence_chart):
        assert "hollow: plain training" in make(search.outcome).subtitle
    hollow = {mark.name: mark.look.hollow for mark in points(front_chart(search.outcome))}
    assert {name for name, is_hollow in hollow.items() if is_hollow} == {"erm", "picked"}
    chart = anytime_chart(search.outcome)
    assert {line.name for line in lines(chart) if line.dotted} == {"erm"}
    assert "dotted: plain training" in chart.subtitle
    trials = search.outcome.trials.replace("erm", "kl")
    assert "hollow" not in front_chart(replace(search.outcome, trials=trials)).subtitle


def test_importance_is_shown_for_accuracy_and_for_work(search: FakeSearch) -> None:
    chart = importance_chart(search.outcome)
    bars = [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, Bars)]
    assert [list(mark.texts) for mark in bars] == [["60%", "30%", "10%"], ["5%", "25%", "70%"]]


def test_cut_trials_are_dashed_and_labelled_in_the_anytime_curve(search: FakeSearch) -> None:
    chart = anytime_chart(search.outcome)
    cut = [line for line in lines(chart) if line.dashed]
    assert [(line.name, len(line.x), line.faint) for line in cut] == [(CUT, RUNG, True)]
    assert CUT in chart.subtitle
    best = lines(chart)[-1]
    assert list(best.y) == sorted(best.y)
    assert best.y[-1] == search.outcome.curves["accuracy"].max()
    (hypervolume,) = lines(chart, 1)
    assert list(hypervolume.y) == list(search.outcome.hypervolume)
    assert hypervolume.x[-1] == search.outcome.trials["work_s"].sum()


@pytest.mark.parametrize("make", CHARTS)
def test_page_and_picture_show_the_same_in_the_same_colours(
    search: FakeSearch, tmp_path: Path, make: Callable[[Outcome], Chart]
) -> None:
    chart = make(search.outcome)
    colours = {
        colour
        for panel in chart.panels
        for mark in panel.marks
        if isinstance(mark, Bars) or not mark.faint
        for colour in (
            mark.colours
            if isinstance(mark, Bars)
            else [mark.look.colour if isinstance(mark, Points) else mark.colour]
        )
    }
    page = figure_of(chart).to_json()
    write_picture(chart, tmp_path / "chart.png")
    pixels = imread(tmp_path / "chart.png")[:, :, :3]
    for colour in colours:
        assert colour in page
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels - rgb).max(axis=2) < 0.01).sum() > 20, colour


def test_the_page_loads_nothing(search: FakeSearch, tmp_path: Path) -> None:
    path = tmp_path / "front.html"
    write_page([front_chart(search.outcome)], path)
    text = path.read_text()
    assert len(text) > 1_000_000  # plotly.js itself
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", text)


@pytest.mark.parametrize("make", CHARTS)
def test_without_any_result_both_say_so(
    search: FakeSearch, tmp_path: Path, make: Callable[[Outcome], Chart]
) -> None:
    nothing = search.without_decision("failed")
    for outcome in (nothing, replace(nothing, trials=nothing.trials.head(0))):
        chart = make(outcome)
        assert chart.note
        assert chart.note in figure_of(chart).to_json()
        write_picture(chart, tmp_path / "chart.png")
        assert imread(tmp_path / "chart.png").min() < 0.5


def test_infinite_and_missing_values_are_left_out(search: FakeSearch) -> None:
    trials = search.outcome.trials.copy()
    trials.loc[0, "accuracy"] = float("inf")
    trials["work_s"] = trials["work_s"].astype(object)
    trials.loc[1, "work_s"] = None
    chart = front_chart(replace(search.outcome, trials=trials))
    assert "5 cut, stopped or failed" in chart.subtitle


def test_an_unknown_divergence_keeps_its_look() -> None:
    assert look_of("my-divergence") == look_of("my-divergence")
    known = ("mmd", "kl", "squared", "wasserstein", "energy", "pearson", "auto", "erm")
    known += ("pooled", "clean-only", "diw", "giw", "random")
    assert pd.Series([look_of(name).colour for name in known]).is_unique
    assert pd.Series([look_of(name).plotly_marker for name in known]).is_unique
