"""What stands on the parent run's overview page: the decision in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adiw_tune.metrics import Metric
from adiw_tune.tracking import words
from adiw_tune.tracking.outcome import Outcome

_MOST_ROWS = 20  # MLflow cuts a description at 8,000 characters
_SPENT = ("work s", "wall s", "timed alone s", "epochs", "trial")
_FILES = (
    "Under Artifacts: `report.html` (everything on one page, every trial with its settings), "
    "`front.html` (of all and of each divergence), `confidence.html` (P(chosen)), "
    "`importance.html`, `anytime.html` (with the trials that were cut), pictures of them (`.png`), "
    "and `front.csv`, `trials.csv`, `decision.json`."
)


def describe(outcome: Outcome, picture: str, rows_page: str) -> str:
    """Return the description: what was picked, why, the evidence, and how to train it again.

    Args:
        outcome: what the search came to.
        picture: address of the front's picture.
        rows_page: address of the page of rows that look wrong, if there is one.
    """
    decision, metric = outcome.decision, outcome.metric
    if decision is None:
        return f"**{words.NOTHING}** {words.counts(outcome.trials, outcome.skipped)}\n\n{_FILES}"
    return "\n\n".join(
        [
            *(f"**{_plain(sentence)}**" for sentence in words.verdict(decision)),
            f"{_named(decision)}: {words.pick(decision, metric)}.",
            f"Why: {_plain(decision['reason'])} (policy: {_plain(decision['rule'])})",
            _plain(" ".join(words.evidence(decision))),
            f"Train it again:\n\n    {outcome.winner_command}",
            *_suspects(outcome, rows_page),
            words.counts(outcome.trials, outcome.skipped),
            f"![{words.title(metric)} against work of all trials]({picture})",
            f"### {words.each(decision)}",
            _divergences(decision["best_per_divergence"], str(decision["divergence"]), metric),
            f"### The front: no trial is both {metric.better} and cheaper",
            _front(outcome, str(decision["trial"])),
            words.meanings(metric),
            _FILES,
        ]
    )


def _suspects(outcome: Outcome, page: str) -> list[str]:
    """Where to see which rows look wrong."""
    found = outcome.suspects
    if found is None:
        return []
    return [
        f"Which rows look wrong: [rows.html]({page}) shows the {len(found.shown):,} most "
        f"suspicious, `rows.csv` has all {found.rows:,}; or\n\n    {found.command}"
    ]


def _named(decision: Mapping[str, Any]) -> str:
    plain = words.PLAIN.get(str(decision["divergence"]))
    what = f", {plain}" if plain else ""
    return f"**{_plain(decision['divergence'])}**{what} (trial `{decision['trial']}`)"


def _divergences(entries: Sequence[dict[str, Any]], best: str, metric: Metric) -> str:
    head = ("divergence", "P(chosen)", metric.name, "work s", "timed alone s", "trials", "seeds")
    rows = [
        [
            str(entry["divergence"]),
            words.number(entry["p_chosen"]),
            words.with_interval(entry, metric),
            words.number(entry["work_s"]),
            words.number(entry["retimed_s"]),
            words.count(entry["trials"]),
            words.count(entry["seeds"]),
        ]
        for entry in entries[:_MOST_ROWS]
    ]
    return table(head, rows, [row[0] == best for row in rows])


def _front(outcome: Outcome, best: str) -> str:
    """The pick is in bold; its row is there also if the front is long, or does not have it."""
    metric, means = outcome.metric, outcome.means
    by_value = outcome.front_with_pick.sort_values(
        metric.name, ascending=not metric.greater_is_better
    )
    head = ("divergence", metric.name, "over seeds", *_SPENT)
    shown = by_value[(by_value["trial"] == best) | (np.arange(len(by_value)) < _MOST_ROWS)]
    rows = [
        [
            str(row["divergence"]),
            words.value(row[metric.name], metric),
            words.value(means.get(str(row["trial"])), metric),
            words.number(row["work_s"]),
            words.number(row["wall_s"]),
            words.number(row["retimed_s"]),
            words.count(row["epochs"]),
            str(row["trial"]),
        ]
        for row in shown.to_dict("records")
    ]
    text = table(head, rows, [row[-1] == best for row in rows])
    if not by_value.loc[by_value["trial"] == best, "on_front"].all():
        text += f"\n\n`{best}`, the pick, is not on the front."
    if more := len(by_value) - len(shown):
        text += f"\n\n{more} more are in `front.csv`."
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
