"""What fixes a training run: its data, its weights and its recipe, three groups of fields."""

from adiw_tune.training.config.recipe import Recipe
from adiw_tune.training.config.recipes import RECIPES, for_loss_of, with_changes, with_recipe
from adiw_tune.training.config.trial import OF_THE_TASK, TrialConfig
from adiw_tune.training.config.weights import (
    AUTO,
    METHODS,
    REPRESENTATIONS,
    WeightConfig,
    default_reference_weight,
)

__all__ = [
    "AUTO",
    "METHODS",
    "OF_THE_TASK",
    "RECIPES",
    "REPRESENTATIONS",
    "Recipe",
    "TrialConfig",
    "WeightConfig",
    "default_reference_weight",
    "for_loss_of",
    "with_changes",
    "with_recipe",
]
