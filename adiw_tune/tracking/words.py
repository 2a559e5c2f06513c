"""The decision in words, the same in the parent run's description and in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric

COST = (
    "Cost is work: seconds of training as calibrated alone on the device, with the weight steps, "
    "without set-up, evaluation and checkpoints. Wall seconds are kept beside it."
)
NOTHING = "No trial finished, so there is nothing to choose from."
NONE = "–"
_COUNTED = {
    "finished": "ran their full course",
    "pruned": "cut by the scheduler",
    "stopped": "stopped",
    "infeasible": "out of memory",
    "failed": "failed",
    "running": "still running",
}


def pick(decision: Mapping[str, Any], metric: Metric) -> str:
    """Return the metric with interval, and cost, of the winner."""
    text = f"{metric.name} {with_interval(decision, metric)} in {decision['work_s']:.2f} s of work"
    if is_known(decision["retimed_s"]):
        text += f"; timed alone at the end: {decision['retimed_s']:.2f} s"
    return text


def evidence(decision: Mapping[str, Any]) -> list[str]:
    """Return what the pick rests on, a sentence each."""
    sentences = []
    if decision["provisional"]:
        sentences.append("Provisional: no trial ran its full course, so a cut one was picked.")
    if decision["tie"]:
        others = [str(name) for name in decision["tied"] if name != decision["divergence"]]
        sentences.append(f"A tie with {listed(others)}: the evidence does not tell them apart.")
    if decision["seeds"]:
        p_best = decision["p_best"].get(decision["divergence"])
        probability = f"P(best) = {p_best:.2f}, " if p_best is not None else ""
        seeds = decision["seeds"]
        paired = "1 seed" if seeds == 1 else f"{seeds} paired seeds"
        sentences.append(f"{probability}from reruns of each finalist over {paired}.")
    else:
        sentences.append("From single runs: no finalist was rerun over seeds.")
    return sentences


def counts(trials: pd.DataFrame, skipped: int) -> str:
    """Return how many trials there were, what became of them, and how many points were skipped."""
    found = trials["status"].value_counts()
    parts = [
        f"{found[status]} {words}" for status, words in _COUNTED.items() if status in found.index
    ]
    text = f"Trials: {len(trials)} ({', '.join(parts)})." if parts else "Trials: none."
    if skipped:
        text += f" Points skipped, as the space calls them infeasible: {skipped}."
    return text


def with_interval(row: Mapping[str, Any], metric: Metric) -> str:
    """Return `0.9120 [0.9040, 0.9190]`, or the value alone if there is no interval."""
    text = value(row["value"], metric)
    return f"{text} {metric.interval_text(row['interval'])}" if row.get("interval") else text


def value(number: Any, metric: Metric) -> str:
    """Return a value of the metric, and a dash for none."""
    return metric.text(number) if is_known(number) else NONE


def title(metric: Metric) -> str:
    """Return its name at the beginning of a title: Accuracy, or macro_f1 as it is written."""
    return "Accuracy" if metric == ACCURACY else metric.name


def number(value: Any, digits: int = 2) -> str:
    """Return a number with its digits, and a dash for none."""
    return f"{value:.{digits}f}" if is_known(value) else NONE


def count(value: Any) -> str:
    """Return a whole number, and a dash for none."""
    return f"{int(value)}" if is_known(value) else NONE


def is_known(value: Any) -> bool:
    """Tell a value from None and NaN."""
    return value is not None and not pd.isna(value)


def listed(names: list[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
