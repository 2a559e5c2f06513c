"""Which trade-off is wanted, in words a user can give, and what it takes from single runs."""

import math
from dataclasses import dataclass

import pandas as pd

from adiw_tune.decide.front import FINISHED, pareto_front
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_positive

DEFAULT_POLICY = "fastest-within=0.01"  # accuracy first; work decides among near equals
_ROUNDING = 1e-12  # of sums and differences of accuracies


@dataclass(frozen=True)
class Policy:
    """Of the trials whose score is at most ``within`` below the best score, the fastest.

    Args:
        text: as the user wrote it.
        within: in [0, 1]; how far below the best is near enough.
        under: seconds of work that a trial may take to compete.
        knee: the score is not the accuracy, but the height above the line between the ends of
            the front, both axes scaled to [0, 1].
    """

    text: str
    within: float = 0.0
    under: float = math.inf
    knee: bool = False

    def score(self, trials: pd.DataFrame, front: pd.DataFrame) -> pd.Series:
        """What is to be high, a value per row of ``trials``."""
        rise, run = _spans(front)
        if not self.knee or not rise or not run:
            return trials["accuracy"]
        gained: pd.Series = (trials["accuracy"] - front["accuracy"].min()) / rise
        spent = (trials["work_s"] - front["work_s"].min()) / run
        return gained.sub(spent).round(9)  # the last digits of a sum cannot break a tie

    def price(self, front: pd.DataFrame) -> float:
        """The accuracy that a second of work is worth: of the knee, the slope between the ends."""
        rise, run = _spans(front)
        return rise / run if self.knee and run else 0.0


def parse_policy(text: str) -> Policy:
    """The policy written as ``knee``, ``fastest-within=X`` or ``best-under=S``.

    knee: the front's point furthest above the line between its ends, both axes scaled to [0, 1].
    fastest-within=X: the fastest whose accuracy is at most X below the best; X in [0, 1].
    best-under=S: the most accurate that trains in at most S seconds of work; S in [1e-6, 1e9].
    """
    name, _, number = text.partition("=")
    if text == "knee":
        return Policy(text, knee=True)
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
        return Policy(text, within=value)
    if not value > 0:
        raise UserError(f"best-under takes seconds above 0; got {number}")
    check_positive("the seconds of best-under", value, 1e-6, 1e9)
    return Policy(text, under=value)


def ranked(trials: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """The finished trials that may compete, in the order in which ``policy`` takes them.

    All that are near enough to the best stand before the others, the fastest first.

    Args:
        trials: columns trial, number, divergence, status, accuracy and work_s.
    """
    finished = trials[trials["status"] == FINISHED]
    competing = finished[finished["work_s"] <= policy.under]
    score = policy.score(competing, pareto_front(finished))
    near = score >= score.max() - policy.within - _ROUNDING
    # Of a knee's equals the more accurate is taken: the ends of the front have the same height.
    work_first = [] if policy.knee else ["work_s"]
    return (
        competing.assign(score=score.mask(near, score.max()))
        .sort_values(
            ["score", *work_first, "accuracy", "work_s", "number"],
            ascending=[False, *(True for _ in work_first), False, True, True],
        )
        .drop(columns="score")
    )


def finalists(trials: pd.DataFrame, policy: Policy) -> list[str]:
    """The trials worth running over more seeds: what ``policy`` takes if held to one divergence.

    Measured against the front of all, not of the divergence alone, so that the pick of single
    runs is one of them and none is taken for being near a best that is itself far from the best.
    A divergence without a finished trial within ``best-under``'s seconds has none.

    Returns:
        Trials by number, at most one for each divergence.
    """
    first = ranked(trials, policy).groupby("divergence", sort=False).head(1)
    return [str(trial) for trial in first.sort_values("number")["trial"]]


def reason(pick: pd.Series, front: pd.DataFrame, policy: Policy) -> str:
    """Why ``pick`` is what ``policy`` takes from the ``front``; a clause that begins with "it"."""
    best, fastest = front.iloc[-1], front.iloc[0]
    if policy.under < math.inf:
        return f"it is the most accurate that trains in at most {policy.under:g} s of work"
    if policy.knee:
        if len(front) == 1:
            return "it is alone on the front: none is more accurate, and none as accurate is faster"
        return f"it is the knee of the front: {_against_end(pick, best, fastest)}"
    points = f"{100 * policy.within:g} point{'' if policy.within == 0.01 else 's'}"
    if pick["accuracy"] >= best["accuracy"]:
        return f"it is the most accurate, and none within {points} of it is faster"
    return f"it is the fastest within {points} of the most accurate, {best['accuracy']:.4f}"


def _against_end(pick: pd.Series, best: pd.Series, fastest: pd.Series) -> str:
    if pick["accuracy"] >= best["accuracy"]:
        gain = pick["accuracy"] - fastest["accuracy"]
        cost = pick["work_s"] / fastest["work_s"]
        return f"{100 * gain:.1f} points above the fastest, for {cost:.1f} times its work"
    loss = best["accuracy"] - pick["accuracy"]
    share = pick["work_s"] / best["work_s"]
    return f"{100 * loss:.1f} points below the most accurate, in {100 * share:.0f}% of its work"


def _spans(front: pd.DataFrame) -> tuple[float, float]:
    """Of accuracy and of work, between the ends of the front; 0 where it has one point."""
    accuracy, work = front["accuracy"], front["work_s"]
    if front.empty:
        return 0.0, 0.0
    return float(accuracy.max() - accuracy.min()), float(work.max() - work.min())
