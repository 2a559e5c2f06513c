"""The files of a search that its parent run keeps."""

from __future__ import annotations

import json
from pathlib import Path

from adiw_tune.csv_text import csv_text
from adiw_tune.tracking.figures.anytime import anytime_chart
from adiw_tune.tracking.figures.confidence import confidence_chart
from adiw_tune.tracking.figures.front import front_chart, per_divergence_chart
from adiw_tune.tracking.figures.importance import importance_chart
from adiw_tune.tracking.figures.in_matplotlib import write_picture
from adiw_tune.tracking.figures.in_plotly import write_page
from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.report import write_report
from adiw_tune.tracking.rows_page import write_rows


def write_artifacts(search_name: str, outcome: Outcome, folder: Path) -> None:
    """Write the report, the tables, and each figure as a page and as a picture.

    Files: report.html; front.csv, trials.csv, decision.json; the pages front.html (with the front
    of each divergence), confidence.html (P(chosen) and intervals), importance.html and
    anytime.html; and a picture of each figure, the fronts of each divergence being divergences.png.
    Where a run tells of the training rows, rows.html and rows.csv, too.
    """
    charts = {
        "front": front_chart(outcome),
        "divergences": per_divergence_chart(outcome),
        "confidence": confidence_chart(outcome),
        "importance": importance_chart(outcome),
        "anytime": anytime_chart(outcome),
    }
    for name, chart in charts.items():
        write_picture(chart, folder / f"{name}.png")
    # Every page holds plotly.js, so figures of one kind share a page.
    write_page([charts["front"], charts["divergences"]], folder / "front.html")
    for name in ("confidence", "importance", "anytime"):
        write_page([charts[name]], folder / f"{name}.html")
    (folder / "front.csv").write_text(csv_text(outcome.front))
    settings_only = outcome.trials.drop(columns="config", errors="ignore")  # has them once more
    (folder / "trials.csv").write_text(csv_text(settings_only))
    decision = None if outcome.decision is None else dict(outcome.decision)
    (folder / "decision.json").write_text(json.dumps(decision, indent=2, default=str) + "\n")
    if outcome.suspects is not None:
        write_rows(search_name, outcome.suspects, folder)
    write_report(search_name, outcome, list(charts.values()), folder / "report.html")
