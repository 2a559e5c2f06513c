"""From finished trials to a front, and from a front to a pick, with its reason."""

from adiw_tune.decide.front import mark_front, pareto_front
from adiw_tune.decide.policies import DEFAULT_POLICY, Decision, Policy, decide, parse_policy

__all__ = [
    "DEFAULT_POLICY",
    "Decision",
    "Policy",
    "decide",
    "mark_front",
    "pareto_front",
    "parse_policy",
]
