"""What stands on the parent run's overview page: the decision in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

_MOST_ROWS = 30  # MLflow cuts a description at 8,000 characters


def describe(
    front: pd.DataFrame,
    decision: Mapping[str, Any] | None,
    trials: pd.DataFrame,
    winner_command: str,
) -> str:
    """Return the description: what was picked, why, the front, and how to train it again."""
    if decision is None:
        return f"**No trial finished**, so there is nothing to choose from. {_counts(trials)}"
    return "\n\n".join(
        [
            f"**{decision['divergence']}** (trial `{decision['trial']}`): accuracy "
            f"{decision['accuracy']:.4f} in {decision['train_seconds']:.2f} s of training.",
            f"Why: {decision['reason']} (policy: {decision['policy']})",
            f"Train it again:\n\n```\n{winner_command}\n```",
            _counts(trials),
            "### The front: no trial is both more accurate and faster",
            _table(front, str(decision["trial"])),
            "The chart is under Artifacts, `front.html`.",
        ]
    )


def _counts(trials: pd.DataFrame) -> str:
    counts = trials["status"].value_counts()
    parts = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"Trials: {len(trials)} ({parts})." if parts else "Trials: none."


def _table(front: pd.DataFrame, best: str) -> str:
    rows = ["| divergence | accuracy | training seconds | epochs | trial |", "|---" * 5 + "|"]
    ranked = front.sort_values("accuracy", ascending=False)
    for row in ranked.head(_MOST_ROWS).to_dict("records"):
        cells = [
            str(row["divergence"]),
            f"{row['accuracy']:.4f}",
            f"{row['train_seconds']:.2f}",
            str(row["epochs"]),
            f"`{row['trial']}`",
        ]
        if str(row["trial"]) == best:
            cells = [f"**{cell}**" for cell in cells]
        rows.append(f"| {' | '.join(cells)} |")
    if len(front) > _MOST_ROWS:
        rows.append(f"\n{len(front) - _MOST_ROWS} more are in the artifact `front.csv`.")
    return "\n".join(rows)
