"""What a user sees, in a real browser, from a real server."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.errors import UserError
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi, serve_ui
from adiw_tune.tracking.view import run_address, view_address

from .helpers import EPOCHS, make_search


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SearchRuns, ServedUi]]:
    uri = f"sqlite:///{tmp_path_factory.mktemp('pages') / 'mlflow.db'}"
    other, search = make_search(5), make_search(8)
    runs = SearchRuns.open(uri, "digits", {"samples": 8}, "search-1")
    runs.record(search.events)
    runs.finish(search.front, search.decision, search.trials, "adiw-tune train")
    SearchRuns.open(uri, "another", {}, "search-2").record(other.events)
    with serve_ui(uri, runs.experiment_id, runs.view_key) as served:
        yield runs, served


def artifact(page: Any, runs: SearchRuns, served: ServedUi, name: str) -> None:
    address = run_address(served.base_url, runs.experiment_id, runs.parent_run_id)
    path, _, query = address.rpartition("?")
    page.goto(f"{path}/artifacts/{name}?{query}")


def test_the_saved_view_shows_this_searchs_trials(
    finished: tuple[SearchRuns, ServedUi], page: Any
) -> None:
    _, served = finished
    page.goto(served.address)
    scatter = page.locator(".js-plotly-plot").first
    scatter.locator(".scatterlayer .point").first.wait_for()
    assert scatter.locator(".scatterlayer .point").count() == 8  # none of the other search's
    assert scatter.locator(".xtitle").text_content() == "train_seconds"
    assert scatter.locator(".ytitle").text_content() == "accuracy"
    colours = scatter.locator(".scatterlayer .point").evaluate_all(
        "points => new Set(points.map(point => point.style.fill)).size"
    )
    assert colours == 7  # one for each divergence or method
    line = page.locator(".js-plotly-plot").nth(1)
    line.locator(".scatterlayer .point").first.wait_for()
    assert line.locator(".scatterlayer .point").count() == 8 * EPOCHS
    assert line.locator(".xtitle").text_content() == "train_seconds"
    page.get_by_text("Parallel Coordinates").scroll_into_view_if_needed()
    page.locator(".parcoords canvas").first.wait_for(state="attached")
    axes = page.locator(".parcoords .dimension .label").all_text_contents()
    assert axes[0] == "divergence"
    assert axes[-1] == "accuracy"


def test_the_decision_stands_on_the_parents_page(
    finished: tuple[SearchRuns, ServedUi], page: Any
) -> None:
    runs, served = finished
    page.goto(run_address(served.base_url, runs.experiment_id, runs.parent_run_id))
    page.get_by_text("The front: no trial is both").wait_for()
    assert page.locator("table", has_text="training seconds").locator("tbody tr").count() == 2


def test_the_fronts_page_opens_and_is_drawn(
    finished: tuple[SearchRuns, ServedUi], page: Any
) -> None:
    runs, served = finished
    artifact(page, runs, served, "front.html")
    frame = page.frame_locator("iframe")
    frame.locator(".scatterlayer .point").first.wait_for()
    assert frame.locator(".scatterlayer .point").count() >= 8  # 7 trials and the star
    assert frame.locator(".xtitle").text_content() == "training seconds"


def test_the_fronts_picture_opens(finished: tuple[SearchRuns, ServedUi], page: Any) -> None:
    runs, served = finished
    artifact(page, runs, served, "front.png")
    page.wait_for_function(
        "() => [...document.images].some(image => image.complete && image.naturalWidth > 1000)"
    )


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
