"""The loop that trains, the methods it compares, and the configuration that fixes a run."""

from adiw_tune.training.calibration import Alone
from adiw_tune.training.config import METHODS, RECIPES, TrialConfig
from adiw_tune.training.data import (
    check_own_files,
    check_seeded,
    inspect_recipe,
    load_splits,
)
from adiw_tune.training.loop import TrainingDivergedError, TrainingRun
from adiw_tune.training.memory import peak_memory_bytes
from adiw_tune.training.peers import Peers
from adiw_tune.training.report import EpochReport
from adiw_tune.training.work import StepCost

__all__ = [
    "METHODS",
    "RECIPES",
    "Alone",
    "EpochReport",
    "Peers",
    "StepCost",
    "TrainingDivergedError",
    "TrainingRun",
    "TrialConfig",
    "check_own_files",
    "check_seeded",
    "inspect_recipe",
    "load_splits",
    "peak_memory_bytes",
]
