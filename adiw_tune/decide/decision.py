"""The answer: which divergence, by which trial, and how sure that is."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from adiw_tune.arms import BASELINES
from adiw_tune.decide.evidence import Evidence, Standing, arms_of, weigh
from adiw_tune.decide.front import FINISHED, pareto_front
from adiw_tune.decide.gain import Gain, measured_gain, single_run_gain, verdict
from adiw_tune.decide.paired import MIN_SEEDS
from adiw_tune.decide.policies import (
    Policy,
    about_equal,
    finalists,
    margin_text,
    ranked,
    reason,
)
from adiw_tune.errors import UserError
from adiw_tune.metrics import Metric

_CUT = ("pruned", "stopped")


@dataclass(frozen=True)
class Decision:
    """The pick, why, and what it was picked from.

    Args:
        divergence: of the winner; the method's name if the winner uses no divergence.
        trial, number: the winner.
        metric: what the policy goes by.
        value: of it, the winner's on the select split; its mean over ``seeds`` if any.
        interval: [low, high], 95%, of that mean; None without seeds.
        work_s, wall_s: of the winner's trial, seconds.
        retimed_s: seconds of the winner when it ran alone; None if it was not re-timed.
        rule: the policy, as it was written.
        reason: one sentence.
        tie: whether other finalists may be as good: the metric (for knee, the height above the
            line) cannot tell them from the winner. The winner is the fastest of those whose mean
            is about the best; a tied one outside that margin may be faster.
        tied: the divergences of these finalists.
        seeds: how many paired seeds are behind the answer; 0 is single runs only.
        p_chosen: by divergence, the share of resamples of the seeds in which the policy takes it;
            empty without seeds, and of an only finalist.
        provisional: no trial ran its full course; picked from those that were cut.
        baselines: which methods of plain training were among the trials.
        gain, gain_interval: what the best weighting gains over the best of these, in the metric's
            unit, see :class:`adiw_tune.decide.Gain`; None if either is missing.
        gain_of, gain_over: the divergences (or methods) of these two.
        gain_work_ratio: work of the first by that of the second.
        worth_it: whether weighting is worth it: yes, no or undecided; None if weighted trials or
            baselines are missing.
        not_compared: divergences and baselines that have no trial, or too few reruns of their
            finalist, see :class:`adiw_tune.decide.Gain`.
        verdict: the gain in a sentence; None if either is missing.
        best_per_divergence: of each divergence its finalist, or without seeds its best trial,
            best first.
    """

    divergence: str
    trial: str
    number: int
    metric: str
    value: float
    interval: list[float] | None
    work_s: float
    wall_s: float
    retimed_s: float | None
    rule: str
    reason: str
    tie: bool
    tied: list[str]
    seeds: int
    p_chosen: dict[str, float]
    provisional: bool
    baselines: list[str]
    gain: float | None
    gain_interval: list[float] | None
    gain_of: str | None
    gain_over: str | None
    gain_work_ratio: float | None
    worth_it: str | None
    not_compared: list[str]
    verdict: str | None
    best_per_divergence: list[dict[str, Any]]

    @property
    def weighted_trial(self) -> str | None:
        """The winner, or where that is a baseline, the best of the others; None if there is none.

        Its runs have the row scores by which the search ranks the training rows.
        """
        if self.divergence not in BASELINES:
            return self.trial
        others = [row for row in self.best_per_divergence if row["divergence"] not in BASELINES]
        best = max(others, key=lambda row: row["seeds"] > 0, default=None)  # the first finalist
        return None if best is None else str(best["trial"])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def decide(
    trials: pd.DataFrame,
    policy: Policy,
    reruns: pd.DataFrame | None = None,
    wanted: Collection[str] = (),
) -> Decision:
    """Pick from the finished ``trials`` by ``policy``, with the evidence of ``reruns`` if it can.

    The reruns are used if each of the policy's finalists has at least ``MIN_SEEDS`` of them. The
    faster is always that of less work; ``retimed_s`` stands beside it, as what that came to on
    this machine.

    Args:
        trials: columns trial, number, divergence, status, of the policy's metric, work_s, wall_s,
            retimed_s. If none finished, those that were pruned or stopped are taken as they stood.
        policy: the rule.
        reruns: columns trial, seed and of the metric (NaN if the rerun failed); None if there are
            none.
        wanted: baselines that weighting is to be compared with.

    Raises:
        UserError: there is no trial to pick from, or none that ``policy`` may take.
    """
    competing, provisional = _competing(trials, policy.metric)
    ranking = ranked(competing, policy)
    front = pareto_front(competing, policy.metric)
    if ranking.empty:
        raise UserError(
            f"no finished trial trains in {policy.under:g} s of work: the fastest takes "
            f"{front['work_s'].min():.3g} s"
        )
    compared = finalists(competing, policy)
    evidence = None if reruns is None else _evidence(competing, compared, policy, reruns)
    if evidence is None:
        winner = ranking.iloc[0]
        rerun = None if reruns is None else reruns[reruns["trial"].isin(compared)]
        why = reason(winner, front, policy) + _caveat(provisional, rerun, policy.metric)
    else:
        winner = ranking[ranking["trial"] == evidence.winner].iloc[0]
        why = _reason(evidence, ranking.set_index("trial").loc[compared], policy)
    untried = [name for name in wanted if name not in set(competing["divergence"])]
    gain = None
    if reruns is not None:
        rerun = competing[competing["trial"].isin(compared)]
        gain = measured_gain(rerun, reruns, policy.metric, untried)
    gain = gain or single_run_gain(ranking, policy.metric, untried)
    return _decision(winner, why, policy, competing, provisional, evidence, gain, untried)


def _competing(trials: pd.DataFrame, metric: Metric) -> tuple[pd.DataFrame, bool]:
    if (trials["status"] == FINISHED).any():
        return trials[trials["status"] == FINISHED], False
    cut = trials[trials["status"].isin(_CUT) & trials[metric.name].notna()]
    if cut.empty:
        raise UserError("no trial has finished, so there is nothing to pick from")
    return cut.assign(status=FINISHED), True


def _evidence(
    competing: pd.DataFrame, compared: list[str], policy: Policy, reruns: pd.DataFrame
) -> Evidence | None:
    cost = competing.set_index("trial").loc[compared, "work_s"]
    return weigh(
        reruns, compared, cost, policy.price(pareto_front(competing, policy.metric)), policy
    )


def _reason(evidence: Evidence, finalists: pd.DataFrame, policy: Policy) -> str:
    """``finalists`` are rows of trials, by trial."""
    rerun = finalists.loc[[standing.trial for standing in evidence.standings]].copy()
    rerun[policy.metric.name] = [standing.value for standing in evidence.standings]
    rerun["seeds"] = [standing.seeds for standing in evidence.standings]
    failed = finalists.loc[~finalists.index.isin(rerun.index), "divergence"]
    left_out = f"; {', '.join(failed)} failed when rerun" if len(failed) else ""
    return _verdict(evidence, rerun, policy) + left_out


def _verdict(evidence: Evidence, rerun: pd.DataFrame, policy: Policy) -> str:
    winner = rerun.loc[[evidence.winner]].iloc[0]
    over_seeds = f"over {winner['seeds']} paired seeds it"
    if evidence.tied:
        others = ", ".join(rerun.loc[evidence.tied, "divergence"])
        scores = policy.metric.score(rerun[policy.metric.name])
        if scores.loc[evidence.winner] <= scores.loc[evidence.tied].max():
            within = f"within {margin_text(about_equal(policy, scores.max()))} of the best mean"
            near = "about as high above the line" if policy.knee else within
            return (
                f"a tie: {over_seeds} cannot be told from {others}; it is the fastest of these "
                f"{near}"
            )
        return f"{over_seeds} is ahead by the mean, but cannot be told from {others}: a tie"
    if len(rerun) == 1:
        return f"{over_seeds} is the only finalist"
    if policy.knee:
        return f"{over_seeds} stands highest above the line between the ends of the front"
    by_score = rerun.loc[policy.scores(rerun).sort_values().index]
    clause = reason(winner, by_score, policy).removeprefix("it")
    return over_seeds + clause


def _caveat(provisional: bool, reruns: pd.DataFrame | None, metric: Metric) -> str:
    if provisional:
        return "; none ran its full course, so these are trials as they stood when they were cut"
    if reruns is not None and reruns[metric.name].isna().any():
        failed = ", ".join(reruns.loc[reruns[metric.name].isna(), "divergence"].unique())
        return f"; of single runs: {failed} failed when rerun, which leaves too few seeds"
    if reruns is not None:
        return f"; of single runs: not every finalist of this policy was run over {MIN_SEEDS} seeds"
    return ""


def _decision(
    winner: pd.Series,
    why: str,
    policy: Policy,
    competing: pd.DataFrame,
    provisional: bool,
    evidence: Evidence | None,
    gain: Gain | None,
    untried: list[str],
) -> Decision:
    standings = {} if evidence is None else {one.trial: one for one in evidence.standings}
    best = _best_per_divergence(competing, standings, policy)
    names = competing.set_index("trial")["divergence"]
    own = standings.get(winner["trial"], _single(winner, policy.metric))
    return Decision(
        divergence=str(winner["divergence"]),
        trial=own.trial,
        number=int(winner["number"]),
        metric=policy.metric.name,
        value=own.value,
        interval=own.interval,
        work_s=float(winner["work_s"]),
        wall_s=float(winner["wall_s"]),
        retimed_s=_number(winner["retimed_s"]),
        rule=policy.text,
        reason=why,
        tie=bool(evidence and evidence.tied),
        tied=[str(names[trial]) for trial in evidence.tied] if evidence else [],
        seeds=own.seeds,
        p_chosen={
            row["divergence"]: row["p_chosen"] for row in best if row["p_chosen"] is not None
        },
        provisional=provisional,
        baselines=[name for name in BASELINES if name in set(names)],
        **_gain_fields(gain, arms_of(competing), own.trial, policy, untried),
        best_per_divergence=best,
    )


def _gain_fields(
    gain: Gain | None, arms: dict[str, str], picked: str, policy: Policy, untried: list[str]
) -> dict[str, Any]:
    fields = ("gain", "gain_interval", "gain_of", "gain_over", "gain_work_ratio", "worth_it")
    if gain is None:
        return {**dict.fromkeys((*fields, "verdict")), "not_compared": untried}
    compared = (arms[gain.weighting], arms[gain.baseline])
    values = (gain.gain, gain.interval, *compared, gain.work_ratio, gain.worth_it)
    return {
        **dict(zip(fields, values, strict=True)),
        "not_compared": list(gain.not_compared),
        "verdict": verdict(gain, arms, picked, policy),
    }


def _best_per_divergence(
    competing: pd.DataFrame, standings: dict[str, Standing], policy: Policy
) -> list[dict[str, Any]]:
    """Of a divergence without a standing its best trial."""
    metric, rerun = policy.metric, competing["trial"].isin(list(standings))
    ordered = competing.assign(rerun=rerun, score=policy.scores(competing)).sort_values(
        ["rerun", "score", "work_s"], ascending=[False, False, True]
    )
    counts = competing["divergence"].value_counts()
    rows = [
        {
            "divergence": str(row["divergence"]),
            **asdict(standings.get(row["trial"], _single(row, metric))),
            "work_s": float(row["work_s"]),
            "retimed_s": _number(row["retimed_s"]),
            "trials": int(counts[row["divergence"]]),
        }
        for _, row in ordered.groupby("divergence").head(1).iterrows()
    ]
    return sorted(rows, key=lambda row: (-metric.score(row["value"]), row["work_s"]))


def _single(row: pd.Series, metric: Metric) -> Standing:
    return Standing(str(row["trial"]), float(row[metric.name]))


def _number(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
