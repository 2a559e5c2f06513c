"""What the tracking tests share: a made-up search, real stores, a real server, a real browser."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.tracking.ui import ServedUi, serve_ui

from .helpers import FakeSearch, make_search

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session", autouse=True)
def _mlflow_imported() -> None:
    """Import MLflow's store once, where the one thing it warns of is let through."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


@pytest.fixture
def search() -> FakeSearch:
    return make_search()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs; MLflow takes seconds to make one, so it is made once."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_database, tmp_path / 'mlflow.db')}"


@pytest.fixture
def servers(uri: str) -> Iterator[Callable[[int | None], ServedUi]]:
    """Starts a server over `uri` when called; all are stopped afterwards."""
    started: list[ServedUi] = []

    def serve(port: int | None = None) -> ServedUi:
        started.append(serve_ui(uri, port=port))
        return started[-1]

    yield serve
    for served in started:
        served.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's chromium; without one the tests are skipped, but on CI they fail."""
    executable = shutil.which("chromium")
    if executable is None:
        reason = "no chromium on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()
