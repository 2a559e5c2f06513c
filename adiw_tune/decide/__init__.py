"""From trials to a front, from a front to finalists, from their reruns to an answer, and why."""

from adiw_tune.decide.decision import Decision, decide
from adiw_tune.decide.evidence import ERROR, race
from adiw_tune.decide.front import (
    hypervolume,
    hypervolume_curve,
    mark_front,
    pareto_front,
    worst_corner,
)
from adiw_tune.decide.gain import Gain, contest
from adiw_tune.decide.paired import MIN_SEEDS
from adiw_tune.decide.policies import Policy, default_policy, finalists, parse_policy

__all__ = [
    "ERROR",
    "MIN_SEEDS",
    "Decision",
    "Gain",
    "Policy",
    "contest",
    "decide",
    "default_policy",
    "finalists",
    "hypervolume",
    "hypervolume_curve",
    "mark_front",
    "pareto_front",
    "parse_policy",
    "race",
    "worst_corner",
]
