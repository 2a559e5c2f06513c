"""What stands on the parent run's overview page: the decision in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from adiw_tune.tracking import words
from adiw_tune.tracking.outcome import Outcome

_MOST_ROWS = 20  # MLflow cuts a description at 8,000 characters
_FILES = (
    "Under Artifacts: `report.html` (everything on one page, every trial with its settings), "
    "`front.html` (of all and of each divergence), `confidence.html` (P(best)), `importance.html`, "
    "`anytime.html` (with the trials that were cut), pictures of them (`.png`), and `front.csv`, "
    "`trials.csv`, `decision.json`."
)


def describe(outcome: Outcome, picture: str) -> str:
    """Return the description: what was picked, why, the evidence, and how to train it again.

    Args:
        outcome: what the search came to.
        picture: address of the front's picture.
    """
    decision = outcome.decision
    if decision is None:
        return f"**{words.NOTHING}** {words.counts(outcome.trials, outcome.skipped)}\n\n{_FILES}"
    return "\n\n".join(
        [
            f"**{_plain(decision['divergence'])}** (trial `{decision['trial']}`): "
            f"{words.pick(decision)}.",
            f"Why: {_plain(decision['reason'])} (rule: {_plain(decision['rule'])})",
            _plain(" ".join(words.evidence(decision))),
            f"Train it again:\n\n    {outcome.winner_command}",
            words.counts(outcome.trials, outcome.skipped),
            f"![Accuracy against work of all trials]({picture})",
            "### Each divergence",
            _divergences(decision["best_per_divergence"], str(decision["divergence"])),
            "### The front: no trial is both more accurate and cheaper",
            _front(outcome.front, str(decision["trial"])),
            words.COST,
            _FILES,
        ]
    )


def _divergences(entries: Sequence[dict[str, Any]], best: str) -> str:
    head = ("divergence", "P(best)", "accuracy", "work s", "timed alone s", "trials", "seeds")
    rows = [
        [
            str(entry["divergence"]),
            words.number(entry["p_best"]),
            words.with_interval(entry),
            words.number(entry["work_s"]),
            words.number(entry["retimed_s"]),
            words.count(entry["trials"]),
            words.count(entry["seeds"]),
        ]
        for entry in entries[:_MOST_ROWS]
    ]
    return table(head, rows, [row[0] == best for row in rows])


def _front(front: pd.DataFrame, best: str) -> str:
    head = ("divergence", "accuracy", "work s", "wall s", "timed alone s", "epochs", "trial")
    ranked = front.sort_values("accuracy", ascending=False).head(_MOST_ROWS).to_dict("records")
    rows = [
        [
            str(row["divergence"]),
            words.number(row["accuracy"], 4),
            words.number(row["work_s"]),
            words.number(row["wall_s"]),
            words.number(row["retimed_s"]),
            words.count(row["epochs"]),
            str(row["trial"]),
        ]
        for row in ranked
    ]
    text = table(head, rows, [row[-1] == best for row in rows])
    if len(front) > _MOST_ROWS:
        text += f"\n\n{len(front) - _MOST_ROWS} more are in `front.csv`."
    return text


def table(head: Sequence[str], rows: list[list[str]], bold: list[bool]) -> str:
    """Return a table in Markdown; ``bold`` says which rows stand out."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row, marked in zip(rows, bold, strict=True):
        cells = [f"**{_plain(cell)}**" if marked else _plain(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _plain(text: Any) -> str:
    """Return text that Markdown shows as it is, on one line: a file may have any name."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(str(text).split()))
