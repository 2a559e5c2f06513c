"""What a search came to, as metrics and tags of its parent run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.translate import metric_name


def parent_numbers(outcome: Outcome) -> dict[str, float]:
    """Return how many trials came to what, and of the decision the pick's values and the gain."""
    counts = outcome.trials["status"].value_counts()
    numbers = {"trials": float(len(outcome.trials))}
    for status in ("finished", "pruned", "stopped", "infeasible", "failed"):
        numbers[f"trials_{status}"] = float(counts.get(status, 0))
    decision = outcome.decision
    if decision is None:
        return numbers
    told = {f"picked_{outcome.metric.name}": decision["value"]}
    told |= {f"picked_{name}": decision[name] for name in ("work_s", "retimed_s")}
    told |= {metric_name(f"p_chosen/{name}"): p for name, p in decision["p_chosen"].items()}
    told |= _gain(decision)
    return numbers | {name: float(value) for name, value in told.items() if value is not None}


def _gain(decision: Mapping[str, Any]) -> dict[str, float | None]:
    """What weighting gains over the best of the baselines, in the metric's unit."""
    low, high = decision["gain_interval"] or (None, None)
    return {"gain": decision["gain"], "gain_low": low, "gain_high": high}


def parent_tags(outcome: Outcome) -> dict[str, str]:
    """Return the decision's tags: what was picked, how, and whether weighting is worth it."""
    decision = outcome.decision
    if decision is None:
        return {}
    tags = {
        "divergence": str(decision["divergence"]),
        "tie": "yes" if decision["tie"] else "no",
        "rule": str(decision["rule"]),
    }
    return tags | ({"worth_it": decision["worth_it"]} if decision["worth_it"] else {})
