"""Importance weighting under distribution shift, and the search for the divergence that suits.

Importing this loads torch and nothing heavier; Ray, Optuna and MLflow come with
``adiw_tune.search`` and ``adiw_tune.tracking``.
"""

from adiw_tune.divergences import DIVERGENCES, Divergence, WeightObjective, make_divergence
from adiw_tune.errors import UserError
from adiw_tune.weights import (
    FeasibleSet,
    ImportanceWeighter,
    IndexedDataset,
    WeightMemory,
    WeightSolver,
)

__all__ = [
    "DIVERGENCES",
    "Divergence",
    "FeasibleSet",
    "ImportanceWeighter",
    "IndexedDataset",
    "UserError",
    "WeightMemory",
    "WeightObjective",
    "WeightSolver",
    "make_divergence",
]
