"""What the command line prints: fronts as tables or data, decisions and epochs as sentences."""

from typing import TYPE_CHECKING

import pandas as pd
from rich.table import Table

from adiw_tune.decide import Decision

if TYPE_CHECKING:
    from adiw_tune.training import EpochReport

# What a row of the front is recognised by; the rest of the settings is in the other formats.
_SETTINGS = ("epochs", "steps", "step_size", "bandwidth", "warm_start", "representation")


def front_table(front: pd.DataFrame) -> Table:
    """The front with the settings that matter, for eyes."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("trial", "divergence", "accuracy", "train s", *_SETTINGS):
        left = column in ("divergence", "warm_start", "representation")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for _, row in front.iterrows():
        table.add_row(
            str(row["number"]),
            str(row["divergence"]),
            f"{row['accuracy']:.4f}",
            f"{row['train_seconds']:.2f}",
            *(_short(row[name]) for name in _SETTINGS),
        )
    return table


def front_as(front: pd.DataFrame, kind: str) -> str:
    """The front with every setting, as ``csv`` or ``json`` (a list of rows)."""
    if kind == "csv":
        return str(front.to_csv(index=False))
    return str(front.to_json(orient="records", indent=2)) + "\n"


def decision_text(decision: Decision, retrain: str) -> str:
    """The pick, why, what the others reached, and how to train it again."""
    lines = [
        f"best divergence: {decision.divergence}",
        f"  trial {decision.number} ({decision.trial}): accuracy {decision.accuracy:.4f} "
        f"on the select split, {decision.train_seconds:.2f} s of training",
        f"  why: {decision.reason} (policy {decision.policy})",
        "  most accurate of each: "
        + "; ".join(
            f"{best['divergence']} {best['accuracy']:.4f} in {best['train_seconds']:.2f} s "
            f"({best['trials']} trial{'s' if best['trials'] > 1 else ''})"
            for best in decision.best_per_divergence
        ),
        f"train it again: {retrain}",
    ]
    return "\n".join(lines)


def epoch_line(report: "EpochReport", epochs: int) -> str:
    """Where a training of ``epochs`` stands."""
    shares = "".join(f", {name} {share:.0%}" for name, share in report.shares.items())
    return (
        f"epoch {report.epoch}/{epochs}: select accuracy {report.accuracy:.4f}, "
        f"loss {report.loss:.4f}, {report.train_seconds:.1f} s{shares}"
    )


def _short(value: object) -> str:
    if value is None or value != value:  # NaN: not set in this trial
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
