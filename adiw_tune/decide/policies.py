"""Which trade-off is wanted, in words a user can give, and what it takes from single runs."""

import math
from dataclasses import dataclass

import pandas as pd

from adiw_tune.decide.front import FINISHED, pareto_front
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.ranges import check_positive

_ROUNDING = 1e-12  # of sums and differences of accuracies


def default_policy(metric: Metric) -> str:
    """The metric first; work decides among near equals: a point apart, or 1% of the best value."""
    return "fastest-within=0.01" if metric.is_share else "fastest-within=1%"


@dataclass(frozen=True)
class Policy:
    """Of the trials whose score is at most ``within`` below the best score, the fastest.

    Args:
        text: as the user wrote it.
        metric: what the score is of. Tables have a column of its name.
        within: at least 0; how far below the best is near enough, in the metric's unit.
        relative: whether ``within`` is a share of the best value instead.
        under: seconds of work that a trial may take to compete.
        knee: the score is not the metric's, but the height above the line between the ends of
            the front, both axes scaled to [0, 1].
    """

    text: str
    metric: Metric = ACCURACY
    within: float = 0.0
    relative: bool = False
    under: float = math.inf
    knee: bool = False

    def scores(self, trials: pd.DataFrame) -> pd.Series:
        """How good each trial is by the metric alone, the greater the better."""
        return self.metric.score(trials[self.metric.name])

    def score(self, trials: pd.DataFrame, front: pd.DataFrame) -> pd.Series:
        """What is to be high, a value per row of ``trials``."""
        rise, run = self._spans(front)
        if not self.knee or not rise or not run:
            return self.scores(trials)
        gained: pd.Series = (self.scores(trials) - self.scores(front).min()) / rise
        spent = (trials["work_s"] - front["work_s"].min()) / run
        # Rounded, so that the last digits break no tie; clipped, as a tiny rise may give infinity.
        return gained.sub(spent).clip(-1e6, 1e6).round(9)

    def price(self, front: pd.DataFrame) -> float:
        """The score that a second of work is worth: of the knee, the slope between the ends."""
        rise, run = self._spans(front)
        return rise / run if self.knee and run else 0.0

    def margin(self, best: float) -> float:
        """How far below the score ``best`` is near enough."""
        return self.within * abs(best) if self.relative else self.within

    def _spans(self, front: pd.DataFrame) -> tuple[float, float]:
        """Of score and of work, between the ends of the front; 0 where it has one point."""
        if front.empty:
            return 0.0, 0.0
        score, work = self.scores(front), front["work_s"]
        return float(score.max() - score.min()), float(work.max() - work.min())


def parse_policy(text: str, metric: Metric = ACCURACY) -> Policy:
    """The policy over ``metric`` written as ``knee``, ``fastest-within=X`` or ``best-under=S``.

    knee: the front's point furthest above the line between its ends, both axes scaled to [0, 1].
    fastest-within=X: the fastest that is at most X worse than the best, in the metric's unit, or
    with X written as ``1%``, that share of the best value; at least 0, and at most 1 of a metric
    in [0, 1], or 100%.
    best-under=S: the best that trains in at most S seconds of work; S in [1e-6, 1e9].
    """
    name, _, number = text.partition("=")
    if text == "knee":
        return Policy(text, metric, knee=True)
    if name not in ("fastest-within", "best-under"):
        raise UserError(
            f"unknown policy '{text}': write knee, fastest-within=0.01 or best-under=20"
        )
    relative = name == "fastest-within" and number.endswith("%")
    try:
        value = float(number.removesuffix("%") if relative else number)
    except ValueError:
        raise UserError(f"policy '{name}' needs a number, like {name}=0.01") from None
    if name == "fastest-within":
        within = value / 100 if relative else value
        _check_within(number, within, relative, metric)
        return Policy(text, metric, within, relative)
    if not value > 0:
        raise UserError(f"best-under takes seconds above 0; got {number}")
    check_positive("the seconds of best-under", value, 1e-6, 1e9)
    return Policy(text, metric, under=value)


def _check_within(number: str, within: float, relative: bool, metric: Metric) -> None:
    if relative and not 0 <= within <= 1:
        raise UserError(f"fastest-within takes a share in [0%, 100%]; got {number}")
    if metric.is_share and not 0 <= within <= 1:
        kind = "an accuracy" if metric == ACCURACY else metric.name
        raise UserError(f"fastest-within takes {kind} in [0, 1]; got {number}")
    if not 0 <= within < math.inf:
        raise UserError(f"fastest-within takes a margin of at least 0; got {number}")


def ranked(trials: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """The finished trials that may compete, in the order in which ``policy`` takes them.

    All that are near enough to the best stand before the others, the fastest first.

    Args:
        trials: columns trial, number, divergence, status, of the metric's name, and work_s.
    """
    finished = trials[trials["status"] == FINISHED]
    competing = finished[finished["work_s"] <= policy.under]
    score = policy.score(competing, pareto_front(finished, policy.metric))
    near = score >= score.max() - policy.margin(score.max()) - _ROUNDING
    # Of a knee's equals the better one is taken: the ends of the front have the same height.
    work_first = [] if policy.knee else ["work_s"]
    return (
        competing.assign(score=score.mask(near, score.max()), own=policy.scores(competing))
        .sort_values(
            ["score", *work_first, "own", "work_s", "number"],
            ascending=[False, *(True for _ in work_first), False, True, True],
        )
        .drop(columns=["score", "own"])
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
    best, fastest, metric = front.iloc[-1], front.iloc[0], policy.metric
    if policy.under < math.inf:
        return f"it is {metric.best_of_all} that trains in at most {policy.under:g} s of work"
    if policy.knee:
        if len(front) == 1:
            as_good = "as accurate" if metric == ACCURACY else "as good"
            return (
                f"it is alone on the front: none is {metric.better}, and none {as_good} is faster"
            )
        return f"it is the knee of the front: {_against_end(pick, best, fastest, metric)}"
    if metric.score(pick[metric.name]) >= metric.score(best[metric.name]):
        return f"it is {metric.best_of_all}, and none within {margin_text(policy)} of it is faster"
    return (
        f"it is the fastest within {margin_text(policy)} of {metric.best_of_all}, "
        f"{metric.text(best[metric.name])}"
    )


def about_equal(policy: Policy, best: float) -> Policy:
    """The policy whose margin decides which means count as equal to the best.

    It is ``policy``, or the default one if ``policy`` has no larger margin.
    """
    usual = parse_policy(default_policy(policy.metric), policy.metric)
    return policy if policy.margin(best) > usual.margin(best) else usual


def margin_text(policy: Policy) -> str:
    """1 point, 1%, or 0.5 in the metric's unit."""
    if policy.relative:
        return f"{100 * policy.within:g}%"
    if policy.metric.is_share:
        return f"{100 * policy.within:g} point{'' if policy.within == 0.01 else 's'}"
    return f"{policy.within:g}"


def _against_end(pick: pd.Series, best: pd.Series, fastest: pd.Series, metric: Metric) -> str:
    value = metric.score(pick[metric.name])
    if value >= metric.score(best[metric.name]):
        gain = metric.difference(value - metric.score(fastest[metric.name]))
        above = "above" if metric.is_share else "better than"
        cost = pick["work_s"] / fastest["work_s"]
        return f"{gain} {above} the fastest, for {cost:.1f} times its work"
    loss = metric.difference(metric.score(best[metric.name]) - value)
    below = "below" if metric.is_share else "worse than"
    share = pick["work_s"] / best["work_s"]
    return f"{loss} {below} {metric.best_of_all}, in {100 * share:.0f}% of its work"
