"""The decision in words, the same in the parent run's description and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric

PLAIN = {
    "erm": "plain training on the training rows",
    "pooled": "plain training on the training and the reference rows",
    "clean-only": "plain training on the reference rows alone",
}
_MEANINGS = {
    "work": "seconds of training and weight steps, each counted at what it takes alone",
    "wall": "elapsed seconds",
    "timed alone": "seconds of a whole run with nothing beside it, by its first epochs",
    "policy": "the rule by which {metric} and work pick one trial",
    "P(chosen)": "share of resamples of the seeds in which the policy picks it",
    "over seeds": "mean {metric} of the reruns over paired seeds; {metric}: of the single run",
}
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


def meaning(terms: Iterable[str], metric: Metric) -> str:
    """Return `work: seconds of ...; wall: ...`, of some of the words that an answer has."""
    return "; ".join(f"{term}: {_MEANINGS[term].format(metric=metric.name)}" for term in terms)


def meanings(metric: Metric) -> str:
    """Return what all of them mean."""
    return f"What the words mean. {meaning(_MEANINGS, metric)}."


def verdict(decision: Mapping[str, Any]) -> list[str]:
    """Return the sentence on whether weighting is worth it; none without such an answer."""
    text = decision["verdict"]
    return [] if text is None else [f"{text[0].upper()}{text[1:]}."]


def cost(work_s: float, retimed_s: float | None) -> str:
    """Return `1.22 s of work, timed alone 1.17 s`."""
    alone = f", timed alone {retimed_s:.2f} s" if is_known(retimed_s) else ""
    return f"{work_s:.2f} s of work{alone}"


def pick(decision: Mapping[str, Any], metric: Metric) -> str:
    """Return the metric with interval, and cost, of the winner."""
    spent = cost(decision["work_s"], decision["retimed_s"])
    return f"{metric.name} {with_interval(decision, metric)} in {spent}"


def evidence(decision: Mapping[str, Any]) -> list[str]:
    """Return what the pick rests on, a sentence each."""
    sentences = []
    if decision["provisional"]:
        sentences.append("Provisional: no trial ran its full course, so a cut one was picked.")
    if decision["seeds"]:
        p_chosen = decision["p_chosen"].get(decision["divergence"])
        probability = f"P(chosen) = {p_chosen:.2f}, from" if p_chosen is not None else "From"
        seeds = decision["seeds"]
        paired = "1 seed" if seeds == 1 else f"{seeds} paired seeds"
        sentences.append(f"{probability} reruns of each finalist over {paired}.")
    else:
        sentences.append("From single runs: the finalists were not rerun over enough seeds.")
    return sentences


def each(decision: Mapping[str, Any]) -> str:
    """Return the title of what stands for each divergence, and each baseline if there are any."""
    return "Each divergence and baseline" if decision["baselines"] else "Each divergence"


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


def significant(value: Any) -> str:
    """Return a number with three significant digits, and a dash for none."""
    if not is_known(value):
        return NONE
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def count(value: Any) -> str:
    """Return a whole number, and a dash for none."""
    return f"{int(value)}" if is_known(value) else NONE


def is_known(value: Any) -> bool:
    """Tell a value from None and NaN."""
    return value is not None and not pd.isna(value)
