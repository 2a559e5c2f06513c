import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.image import imread

from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures import front_figure, write_front_html, write_front_png

from .helpers import FakeSearch


def test_the_figure_shows_all_trials_the_front_and_the_winner(search: FakeSearch) -> None:
    figure = front_figure(search.trials, best="trial07")
    points = [trace for trace in figure.data if trace.text is not None and trace.name != "picked"]
    assert sum(len(trace.x) for trace in points) == 7  # trial 3 failed
    assert "1 without a result" in figure.layout.title.subtitle.text
    (front,) = [trace for trace in figure.data if trace.name == "front"]
    assert list(front.x) == sorted(search.front["train_seconds"])
    (star,) = [trace for trace in figure.data if trace.name == "picked"]
    assert star.marker.symbol == "star"
    assert "solver_steps = " in star.text[0]
    assert "trial07" in star.text[0]
    assert figure.layout.xaxis.title.text == "training seconds"


def test_trials_off_the_front_are_faint(search: FakeSearch) -> None:
    figure = front_figure(search.trials)
    opacity = {
        trial: value
        for trace in figure.data
        if trace.text is not None
        for trial, value in zip(trace.text, trace.marker.opacity, strict=True)
    }
    assert sorted(opacity.values())[:5] == [0.35] * 5
    assert sorted(opacity.values())[5:] == [1.0] * 2


def test_the_page_loads_nothing(search: FakeSearch, tmp_path: Path) -> None:
    path = tmp_path / "front.html"
    write_front_html(search.trials, path, "trial07")
    text = path.read_text()
    assert len(text) > 1_000_000  # plotly.js itself
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)=", text)


def test_the_picture_is_not_blank(search: FakeSearch, tmp_path: Path) -> None:
    path = tmp_path / "front.png"
    write_front_png(search.trials, path, "trial07")
    pixels = imread(path)
    assert pixels.shape[0] > 500
    red, green, blue = (int(look_of("energy").colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    near = abs(pixels[:, :, :3] - [red, green, blue]).max(axis=2) < 0.01
    assert near.sum() > 50


@pytest.mark.parametrize("rows", [0, 8])
def test_without_any_result_both_are_still_drawn(
    search: FakeSearch, tmp_path: Path, rows: int
) -> None:
    trials = search.trials.head(rows).assign(accuracy=None, on_front=False)
    write_front_html(trials, tmp_path / "front.html")
    write_front_png(trials, tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 1000


def test_infinite_and_missing_values_are_left_out(search: FakeSearch) -> None:
    trials = search.trials.copy()
    trials.loc[0, "accuracy"] = float("inf")
    trials["train_seconds"] = trials["train_seconds"].astype(object)
    trials.loc[1, "train_seconds"] = None
    figure = front_figure(trials)
    assert "3 without a result" in figure.layout.title.subtitle.text


def test_an_unknown_divergence_keeps_its_look() -> None:
    assert look_of("my-divergence") == look_of("my-divergence")
    assert pd.Series([look_of(name).colour for name in ("mmd", "kl", "squared")]).is_unique
