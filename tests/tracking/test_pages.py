"""What a user sees, in a real browser, from a real server."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.errors import UserError
from adiw_tune.tracking.artifacts import write_artifacts
from adiw_tune.tracking.figures.front import WORK
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi, serve_ui
from adiw_tune.tracking.view import run_address, view_address

from .helpers import EPOCHS, RUNG, SEEDS, make_search

WIDE_PICTURE = "() => [...document.images].some(image => image.naturalWidth === 900)"

Finished = tuple[SearchRuns, ServedUi]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    uri = f"sqlite:///{tmp_path_factory.mktemp('pages') / 'mlflow.db'}"
    other, search = make_search(6), make_search(8)
    runs = SearchRuns.open(uri, "digits", {"samples": 8}, "search-1")
    runs.record(search.events)
    runs.finish(search.outcome)
    SearchRuns.open(uri, "another", {}, "search-2").record(other.events[:20])
    with serve_ui(uri, runs.experiment_id, runs.view_key) as served:
        yield runs, served


def artifact(page: Any, finished: Finished, name: str) -> None:
    runs, served = finished
    address = run_address(served.base_url, runs.experiment_id, runs.parent_run_id)
    path, _, query = address.rpartition("?")
    page.goto(f"{path}/artifacts/{name}?{query}")


def points(chart: Any) -> Any:
    return chart.locator(".scatterlayer .point")


def test_the_saved_view_shows_this_searchs_trials(finished: Finished, page: Any) -> None:
    _, served = finished
    page.goto(served.address)
    scatter = page.locator(".js-plotly-plot").first
    points(scatter).first.wait_for()
    assert points(scatter).count() == 8  # none of the other search's, and no reruns
    assert scatter.locator(".xtitle").text_content() == "work_s"
    assert scatter.locator(".ytitle").text_content() == "accuracy"
    colours = points(scatter).evaluate_all(
        "points => new Set(points.map(point => point.style.fill)).size"
    )
    assert colours == 7  # one for each divergence or method
    line = page.locator(".js-plotly-plot").nth(1)
    points(line).first.wait_for()
    assert points(line).count() == 7 * EPOCHS + RUNG
    assert line.locator(".xtitle").text_content() == "work_s"
    page.get_by_text("Parallel Coordinates").scroll_into_view_if_needed()
    page.locator(".parcoords canvas").first.wait_for(state="attached")
    axes = page.locator(".parcoords .dimension .label").all_text_contents()
    assert axes[0] == "divergence"
    assert axes[-1] == "accuracy"


def test_the_second_view_shows_only_the_front(finished: Finished, page: Any) -> None:
    runs, served = finished
    page.goto(view_address(served.base_url, runs.experiment_id, runs.front_view_key))
    scatter = page.locator(".js-plotly-plot").first
    points(scatter).first.wait_for()
    assert points(scatter).count() == 2


def test_the_decision_stands_on_the_parents_page(finished: Finished, page: Any) -> None:
    runs, served = finished
    page.goto(run_address(served.base_url, runs.experiment_id, runs.parent_run_id))
    page.get_by_text("The front: no trial is both").wait_for()
    front, divergences = (
        page.locator("table", has_text=words).locator("tbody tr").count()
        for words in ("wall s", "P(chosen)")
    )
    assert (front, divergences) == (2, 3)
    page.get_by_text("0.8400 [0.8300, 0.8500] in 5.00 s of work").wait_for()
    page.get_by_text("P(chosen) = 0.90").wait_for()
    page.get_by_text("Show more").click()
    picture = page.locator("img[src*='front.png']")
    picture.scroll_into_view_if_needed()
    page.wait_for_function(WIDE_PICTURE)


def test_the_fronts_page_opens_and_is_drawn(finished: Finished, page: Any) -> None:
    artifact(page, finished, "front.html")
    front, each = (page.frame_locator("iframe").locator(".js-plotly-plot").nth(k) for k in (0, 1))
    points(front).first.wait_for()
    assert points(front).count() == 6  # 5 trials and the star
    assert front.locator(".xtitle").text_content() == WORK
    points(each).first.wait_for()
    assert each.locator(".xtitle, .x2title, .x3title, .x4title").count() == 3  # of the lowest
    assert each.locator(".annotation-text").all_text_contents()[0] == "diw: 1 trial"


@pytest.mark.parametrize(
    ("name", "drawn", "count"),
    [
        ("confidence.html", ".barlayer .point, .scatterlayer .point", 2 + 2 + 2 * SEEDS),
        ("importance.html", ".barlayer .point", 6),
        ("anytime.html", ".scatterlayer .js-line", 8 + 2),
    ],
)
def test_the_other_pages_are_drawn(
    finished: Finished, page: Any, name: str, drawn: str, count: int
) -> None:
    artifact(page, finished, name)
    marks = page.frame_locator("iframe").locator(drawn)
    marks.first.wait_for(state="attached")
    assert marks.count() == count


@pytest.mark.parametrize("name", ["front.png", "divergences.png"])
def test_the_pictures_open(finished: Finished, page: Any, name: str) -> None:
    artifact(page, finished, name)
    page.wait_for_function(WIDE_PICTURE)


def test_the_report_opens_with_all_figures_and_asks_the_network_for_nothing(
    tmp_path: Path, page: Any
) -> None:
    write_artifacts("digits", make_search().outcome, tmp_path)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    page.locator(".js-plotly-plot").nth(4).locator(".scatterlayer .js-line").first.wait_for()
    figures = page.locator(".js-plotly-plot")
    assert figures.count() == 5
    for figure in figures.all():
        assert figure.locator(".scatterlayer .trace, .barlayer .trace").count() > 0
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0  # tables scroll by themselves


def test_a_port_in_use_is_named(uri: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .*choose another port"):
            serve_ui(uri, port=port)


def test_a_database_that_does_not_exist_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run a search first"):
        serve_ui(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not list(tmp_path.iterdir())


def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database, but long enough to be taken for one by nobody\n" * 30)
    with pytest.raises(UserError, match="did not start") as caught:
        serve_ui(f"sqlite:///{path}")
    assert "\n" not in str(caught.value)


def test_for_a_server_only_the_addresses_are_made() -> None:
    served = serve_ui("http://tracking:5000/", "7", "adiw-x")
    assert served.server is None
    assert served.base_url == "http://tracking:5000"
    assert served.address == view_address("http://tracking:5000", "7", "adiw-x")
    served.stop()


def test_another_kind_of_store_cannot_be_served() -> None:
    with pytest.raises(UserError, match="sqlite:////absolute"):
        serve_ui("postgresql://anna:s3cret@db/mlflow")
