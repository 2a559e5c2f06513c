"""Takes the README's pictures of a search in MLflow's UI, with Debian's chromium.

python docs/screenshot.py demo    # after 'adiw-tune search ... --name demo', in the same directory
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from adiw_tune.record.record import DEFAULT_STORAGE, SearchRecord
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi, serve_ui
from adiw_tune.tracking.view import run_address, view_address

HERE = Path(__file__).parent
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def main(name: str) -> None:
    """Write ui-view, ui-front, ui-decision and ui-report.png beside this file."""
    settings = SearchRecord.open(DEFAULT_STORAGE, name).settings
    runs = SearchRuns.find(settings.tracking_uri, settings.search_id)
    assert runs is not None
    with (
        serve_ui(settings.tracking_uri, runs.experiment_id, runs.view_key) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OFFLINE)
        page = browser.new_page(viewport={"width": 1400, "height": 1280})
        shoot_all(page, served, runs, HERE)
        browser.close()


def shoot_all(page: Page, served: ServedUi, runs: SearchRuns, folder: Path) -> None:
    """Both saved views, the parent's page with the decision, and the report among its files."""
    page.goto(served.address)
    page.get_by_text("Parallel Coordinates").first.wait_for(timeout=60_000)
    shoot(page, folder / "ui-view.png")
    page.goto(view_address(served.base_url, runs.experiment_id, runs.front_view_key))
    page.get_by_text("Parallel Coordinates").first.wait_for(timeout=60_000)
    shoot(page, folder / "ui-front.png")
    parent = run_address(served.base_url, runs.experiment_id, runs.parent_run_id)
    page.goto(parent)
    page.get_by_text("Show more").click(timeout=60_000)  # MLflow folds a long description
    page.locator("img[src*='front.png']").wait_for(timeout=60_000)
    shoot(page, folder / "ui-decision.png")
    page.goto(parent.replace("?", "/artifacts/report.html?"))
    page.frame_locator("iframe").locator(".js-plotly-plot").first.wait_for(timeout=60_000)
    shoot(page, folder / "ui-report.png")


def shoot(page: Page, file: Path) -> None:
    """Write what the page shows once it has drawn itself."""
    close = page.get_by_label("Close").or_(page.get_by_role("button", name="Close"))
    page.wait_for_timeout(4000)  # the charts draw themselves after their data has come
    for button in close.all():  # the assistant panel that a first visit opens
        if button.is_visible():
            button.click()
    page.wait_for_timeout(2000)
    page.screenshot(path=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
