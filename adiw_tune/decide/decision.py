"""The answer: which divergence, by which trial, and how sure that is."""

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from adiw_tune.decide.evidence import Evidence, weigh
from adiw_tune.decide.front import FINISHED, pareto_front
from adiw_tune.decide.paired import MIN_SEEDS
from adiw_tune.decide.policies import Policy, finalists, ranked, reason
from adiw_tune.errors import UserError

_CUT = ("pruned", "stopped")


@dataclass(frozen=True)
class Decision:
    """The pick, why, and what it was picked from.

    Args:
        divergence: of the winner; the method's name if the winner uses no divergence.
        trial, number: the winner.
        accuracy: of the winner on the select split, in [0, 1]; its mean over ``seeds`` if any.
        interval: [low, high], 95%, of that mean; None without seeds.
        work_s, wall_s: of the winner's trial, seconds.
        retimed_s: seconds of the winner when it ran alone; None if it was not re-timed.
        rule: the policy, as it was written.
        reason: one sentence.
        tie: whether others could be taken too and cannot be told from the winner in accuracy (of
            the knee: in height), which is then the fastest of them.
        tied: their divergences.
        seeds: how many paired seeds are behind the answer; 0 is single runs only.
        p_best: by divergence, the share of resamples of the seeds in which the rule takes it;
            empty without seeds.
        provisional: no trial ran its full course; picked from those that were cut.
        best_per_divergence: of each divergence its finalist, or without seeds its most accurate
            trial, best first.
    """

    divergence: str
    trial: str
    number: int
    accuracy: float
    interval: list[float] | None
    work_s: float
    wall_s: float
    retimed_s: float | None
    rule: str
    reason: str
    tie: bool
    tied: list[str]
    seeds: int
    p_best: dict[str, float]
    provisional: bool
    best_per_divergence: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def decide(trials: pd.DataFrame, policy: Policy, reruns: pd.DataFrame | None = None) -> Decision:
    """Pick from the finished ``trials`` by ``policy``, with the evidence of ``reruns`` if it can.

    The reruns are used if each of the policy's finalists has at least ``MIN_SEEDS`` of them. Of
    these finalists the faster is that with the smaller ``retimed_s`` where all have one, else with
    the smaller ``work_s``.

    Args:
        trials: columns trial, number, divergence, status, accuracy, work_s, wall_s, retimed_s.
            If none finished, those that were pruned or stopped are taken as they stood.
        policy: the rule.
        reruns: columns trial, seed and accuracy (NaN if the rerun failed); None if there are none.

    Raises:
        UserError: there is no trial to pick from, or none that ``policy`` may take.
    """
    competing, provisional = _competing(trials)
    ranking = ranked(competing, policy)
    front = pareto_front(competing)
    if ranking.empty:
        raise UserError(
            f"no finished trial trains in {policy.under:g} s of work: the fastest takes "
            f"{front['work_s'].min():.3g} s"
        )
    evidence = None if reruns is None else _evidence(competing, front, policy, reruns)
    if evidence is not None:
        winner = ranking[ranking["trial"] == evidence.trials[evidence.winner]].iloc[0]
        why = _reason(evidence, ranking, policy)
    else:
        winner = ranking.iloc[0]
        why = reason(winner, front, policy) + _caveat(provisional, reruns)
    return _decision(winner, why, policy, competing, provisional, evidence)


def _competing(trials: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    if (trials["status"] == FINISHED).any():
        return trials[trials["status"] == FINISHED], False
    cut = trials[trials["status"].isin(_CUT) & trials["accuracy"].notna()]
    if cut.empty:
        raise UserError("no trial has finished, so there is nothing to pick from")
    return cut.assign(status=FINISHED), True


def _evidence(
    competing: pd.DataFrame, front: pd.DataFrame, policy: Policy, reruns: pd.DataFrame
) -> Evidence | None:
    compared = finalists(competing, policy)
    cost = competing.set_index("trial").loc[compared]
    shown = "retimed_s" if cost["retimed_s"].notna().all() else "work_s"
    return weigh(reruns, compared, cost[shown], policy.price(front), policy)


def _reason(evidence: Evidence, ranking: pd.DataFrame, policy: Policy) -> str:
    rows = ranking.set_index("trial", drop=False).loc[evidence.trials]
    pick = rows.iloc[evidence.winner]
    seeds = f"over {evidence.seeds[evidence.winner]} paired seeds"
    if evidence.tied:
        others = ", ".join(str(rows.iloc[other]["divergence"]) for other in evidence.tied)
        return f"a tie: the faster one taken; {seeds} it cannot be told from {others}"
    means = rows.assign(accuracy=evidence.accuracy)
    if len(rows) == 1:
        return f"it is the only finalist, run {seeds}"
    if policy.knee:
        return f"{seeds} it stands highest above the line between the ends of the front"
    front = means.sort_values("accuracy")
    return f"{seeds} {reason(means.loc[pick['trial']], front, policy)}"


def _caveat(provisional: bool, reruns: pd.DataFrame | None) -> str:
    if provisional:
        return "; none ran its full course, so these are trials as they stood when they were cut"
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
) -> Decision:
    best = _best_per_divergence(competing, evidence)
    own = next(row for row in best if row["divergence"] == winner["divergence"])
    names = competing.set_index("trial")["divergence"]
    return Decision(
        divergence=str(winner["divergence"]),
        trial=str(winner["trial"]),
        number=int(winner["number"]),
        accuracy=own["accuracy"] if evidence else float(winner["accuracy"]),
        interval=own["interval"],
        work_s=float(winner["work_s"]),
        wall_s=float(winner["wall_s"]),
        retimed_s=_number(winner["retimed_s"]),
        rule=policy.text,
        reason=why,
        tie=bool(evidence and evidence.tied),
        tied=[str(names[evidence.trials[i]]) for i in evidence.tied] if evidence else [],
        seeds=own["seeds"],
        p_best={row["divergence"]: row["p_best"] for row in best if row["p_best"] is not None},
        provisional=provisional,
        best_per_divergence=best,
    )


def _best_per_divergence(
    competing: pd.DataFrame, evidence: Evidence | None
) -> list[dict[str, Any]]:
    """Of a divergence without evidence its most accurate trial."""
    known = {} if evidence is None else {t: i for i, t in enumerate(evidence.trials)}
    counts = competing["divergence"].value_counts()
    rows = []
    for divergence, own in competing.groupby("divergence", sort=False):
        position = next((known[trial] for trial in own["trial"] if trial in known), None)
        row = own.sort_values(["accuracy", "work_s"], ascending=[False, True]).iloc[0]
        figures: tuple[Any, ...] = (float(row["accuracy"]), None, 0, None)
        if evidence is not None and position is not None:
            row = own[own["trial"] == evidence.trials[position]].iloc[0]
            lists = (evidence.accuracy, evidence.intervals, evidence.seeds, evidence.p_best)
            figures = tuple(values[position] for values in lists)
        accuracy, interval, seeds, p_best = figures
        rows.append(
            {
                "divergence": str(divergence),
                "trial": str(row["trial"]),
                "accuracy": accuracy,
                "interval": interval,
                "work_s": float(row["work_s"]),
                "retimed_s": _number(row["retimed_s"]),
                "seeds": seeds,
                "p_best": p_best,
                "trials": int(counts[divergence]),
            }
        )
    return sorted(rows, key=lambda row: (-row["accuracy"], row["work_s"]))


def _number(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
