"""From a front to one pick: which trade-off is wanted, in words a user can give."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from adiw_tune.decide.front import FINISHED, pareto_front
from adiw_tune.errors import UserError

DEFAULT_POLICY = "fastest-within=0.01"  # accuracy first; time decides among near equals


@dataclass(frozen=True)
class Decision:
    """The pick, why, and what it was picked from.

    Args:
        divergence: of the winner; the method's name if the winner uses no divergence.
        trial, number: the winner.
        accuracy: of the winner on the select split, in [0, 1].
        train_seconds: of the winner.
        policy: the rule applied.
        reason: one sentence.
        best_per_divergence: the most accurate finished trial of each divergence, best first.
    """

    divergence: str
    trial: str
    number: int
    accuracy: float
    train_seconds: float
    policy: str
    reason: str
    best_per_divergence: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Policy:
    """A rule that picks one row of a front, and says why."""

    text: str
    pick: Callable[[pd.DataFrame], tuple[int, str]]


def parse_policy(text: str) -> Policy:
    """The policy written as ``knee``, ``fastest-within=X`` or ``best-under=S``.

    knee: the front's point furthest above the line between its ends, both axes scaled to [0, 1].
    fastest-within=X: the fastest whose accuracy is at most X below the best; X in [0, 1].
    best-under=S: the most accurate that trains in at most S seconds; S above 0.
    """
    name, _, number = text.partition("=")
    if text == "knee":
        return Policy(text, _knee)
    if name not in ("fastest-within", "best-under"):
        raise UserError(
            f"unknown policy '{text}': write knee, fastest-within=0.01 or best-under=20"
        )
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"policy '{name}' needs a number, like {name}=0.01") from None
    if name == "fastest-within":
        if not 0 <= value <= 1:
            raise UserError(f"fastest-within takes an accuracy in [0, 1]; got {number}")
        return Policy(text, lambda front: _fastest_within(front, value))
    if not value > 0:
        raise UserError(f"best-under takes seconds above 0; got {number}")
    return Policy(text, lambda front: _best_under(front, value))


def decide(trials: pd.DataFrame, policy: Policy) -> Decision:
    """Pick from the finished ``trials`` by ``policy``.

    Args:
        trials: columns trial, number, divergence, accuracy, train_seconds and status.
    """
    front = pareto_front(trials)
    if front.empty:
        raise UserError("no trial has finished, so there is nothing to pick from")
    row, reason = policy.pick(front)
    winner = front.iloc[row]
    return Decision(
        divergence=str(winner["divergence"]),
        trial=str(winner["trial"]),
        number=int(winner["number"]),
        accuracy=float(winner["accuracy"]),
        train_seconds=float(winner["train_seconds"]),
        policy=policy.text,
        reason=reason,
        best_per_divergence=_best_per_divergence(trials),
    )


def _best_per_divergence(trials: pd.DataFrame) -> list[dict[str, Any]]:
    finished = trials[trials["status"] == FINISHED]
    ranked = finished.sort_values(["accuracy", "train_seconds"], ascending=[False, True])
    best = ranked.groupby("divergence", sort=False).head(1)
    counts = finished["divergence"].value_counts()
    return [
        {
            "divergence": str(row["divergence"]),
            "accuracy": float(row["accuracy"]),
            "train_seconds": float(row["train_seconds"]),
            "trial": str(row["trial"]),
            "trials": int(counts[row["divergence"]]),
        }
        for _, row in best.iterrows()
    ]


def _scaled(values: pd.Series) -> pd.Series:
    span = values.max() - values.min()
    return (values - values.min()) / span if span > 0 else values * 0.0


def _knee(front: pd.DataFrame) -> tuple[int, str]:
    height = _scaled(front["accuracy"]) - _scaled(front["train_seconds"])
    # A tie goes to the more accurate; rounded, so that the last digits of a sum cannot break it.
    row = len(front) - 1 - int(height.round(9)[::-1].argmax())
    if len(front) == 1:
        return (
            row,
            "it is alone on the front: none is more accurate, and none as accurate is faster",
        )
    return row, f"it is the knee of the front: {_against_ends(front, row)}"


def _against_ends(front: pd.DataFrame, row: int) -> str:
    best, pick = front.iloc[-1], front.iloc[row]
    if row == len(front) - 1:
        fastest = front.iloc[0]
        gain, cost = pick.accuracy - fastest.accuracy, pick.train_seconds / fastest.train_seconds
        return f"{100 * gain:.1f} points above the fastest, for {cost:.1f} times its seconds"
    loss, share = best.accuracy - pick.accuracy, pick.train_seconds / best.train_seconds
    return f"{100 * loss:.1f} points below the most accurate, in {100 * share:.0f}% of its seconds"


def _fastest_within(front: pd.DataFrame, margin: float) -> tuple[int, str]:
    best = front["accuracy"].max()
    row = int((front["accuracy"] >= best - margin - 1e-12).argmax())
    points = f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"
    if row == len(front) - 1:
        return row, f"it is the most accurate, and none within {points} of it is faster"
    return row, f"it is the fastest within {points} of the most accurate, {best:.4f}"


def _best_under(front: pd.DataFrame, seconds: float) -> tuple[int, str]:
    within = int((front["train_seconds"] <= seconds).sum())
    if not within:
        raise UserError(
            f"no finished trial trains in {seconds:g} s: the fastest takes "
            f"{front['train_seconds'].min():.3g} s"
        )
    return within - 1, f"it is the most accurate that trains in at most {seconds:g} s"
