"""How it is minimised: the feasible set, the few-step solver, and the memory of past weights."""

from adiw_tune.weights.feasible import FeasibleSet
from adiw_tune.weights.memory import WeightMemory
from adiw_tune.weights.solver import WeightSolver
from adiw_tune.weights.weighter import ImportanceWeighter

__all__ = ["FeasibleSet", "ImportanceWeighter", "WeightMemory", "WeightSolver"]
