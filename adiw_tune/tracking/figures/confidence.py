"""How sure the pick is: P(chosen) of each divergence, and what its reruns say of its metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from adiw_tune.metrics import Metric
from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.figures.chart import Bars, Chart, Mark, Panel, Points
from adiw_tune.tracking.figures.front import hollow
from adiw_tune.tracking.outcome import Outcome


def confidence_chart(outcome: Outcome) -> Chart:
    """Bars of P(chosen) beside the metric: the interval of each finalist and each of its reruns."""
    entries = _finalists(outcome)
    names = [str(entry["divergence"]) for entry in entries]
    seeds = outcome.decision["seeds"] if outcome.decision else 0
    return Chart(
        title="How sure the pick is",
        subtitle=f"Finalists over {seeds} paired seeds; P(chosen): share of resamples in which the "
        f"policy picks it{hollow(names)}",
        panels=[_probability_panel(entries, names), _metric_panel(outcome, entries, names)],
        columns=2,
        note="" if entries else "No finalist was rerun, so there is no evidence over seeds.",
    )


def _finalists(outcome: Outcome) -> list[Mapping[str, Any]]:
    """Return the entries of the decision that have evidence, the one chosen most often first."""
    entries = outcome.decision["best_per_divergence"] if outcome.decision else []
    with_evidence = [entry for entry in entries if entry["seeds"]]
    return sorted(with_evidence, key=lambda entry: -(entry["p_chosen"] or 0.0))


def _probability_panel(entries: list[Mapping[str, Any]], names: list[str]) -> Panel:
    shares = [entry["p_chosen"] for entry in entries]
    bars = Bars(
        names,
        [share or 0.0 for share in shares],
        [look_of(name).colour for name in names],
        ["the only finalist" if share is None else f"{share:.2f}" for share in shares],
    )
    return Panel([bars], "P(chosen)", categories=names, x_range=(0.0, 1.15))


def _metric_panel(outcome: Outcome, entries: list[Mapping[str, Any]], names: list[str]) -> Panel:
    marks: list[Mark] = []
    metric = outcome.metric
    for entry in entries:
        name = str(entry["divergence"])
        rows = outcome.reruns[outcome.reruns["trial"].astype(str) == str(entry["trial"])]
        marks += [_single_runs(name, rows, metric), _interval(name, entry, metric)]
    return Panel(marks, f"{metric.name}; faint: single seeds", categories=names)


def _single_runs(name: str, rows: pd.DataFrame, metric: Metric) -> Points:
    return Points(
        list(rows[metric.name]),
        [name] * len(rows),
        look_of(name),
        hover=[
            f"{name}, seed {row['seed']}\n{metric.name} {metric.text(row[metric.name])} in "
            f"{row['work_s']:.2f} s of work"
            for row in rows.to_dict("records")
        ],
        faint=True,
    )


def _interval(name: str, entry: Mapping[str, Any], metric: Metric) -> Points:
    low, high = entry["interval"] or (entry["value"], entry["value"])
    ends = f"{metric.text(low)} to {metric.text(high)}"
    return Points(
        [float(entry["value"])],
        [name],
        look_of(name),
        hover=[f"{name}: {metric.text(entry['value'])}, interval {ends}"],
        low=[float(low)],
        high=[float(high)],
    )
