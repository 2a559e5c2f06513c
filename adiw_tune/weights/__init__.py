"""How it is minimised: the feasible set, the few-step solver, and the memory of past weights.

For other people's loops, these are one object, ImportanceWeighter, which IndexedDataset gives row
numbers to.
"""

from adiw_tune.weights.feasible import FeasibleSet
from adiw_tune.weights.indexed import IndexedDataset
from adiw_tune.weights.memory import WeightMemory
from adiw_tune.weights.solver import WeightSolver
from adiw_tune.weights.weighter import ImportanceWeighter

__all__ = ["FeasibleSet", "ImportanceWeighter", "IndexedDataset", "WeightMemory", "WeightSolver"]
