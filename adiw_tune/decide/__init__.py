"""From trials to a front, from a front to finalists, from their reruns to an answer, and why."""

from adiw_tune.decide.decision import Decision, decide
from adiw_tune.decide.evidence import ERROR, race
from adiw_tune.decide.front import hypervolume, hypervolume_curve, mark_front, pareto_front
from adiw_tune.decide.paired import MIN_SEEDS
from adiw_tune.decide.policies import DEFAULT_POLICY, Policy, finalists, parse_policy

__all__ = [
    "DEFAULT_POLICY",
    "ERROR",
    "MIN_SEEDS",
    "Decision",
    "Policy",
    "decide",
    "finalists",
    "hypervolume",
    "hypervolume_curve",
    "mark_front",
    "pareto_front",
    "parse_policy",
    "race",
]
