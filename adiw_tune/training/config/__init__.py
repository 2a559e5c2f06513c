"""What fixes a training run: its data, its weights and its recipe, three groups of fields."""

from adiw_tune.training.config.recipe import Recipe
from adiw_tune.training.config.recipes import RECIPES, with_changes, with_recipe
from adiw_tune.training.config.trial import SETTLED, TrialConfig
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
    "RECIPES",
    "REPRESENTATIONS",
    "SETTLED",
    "Recipe",
    "TrialConfig",
    "WeightConfig",
    "default_reference_weight",
    "with_changes",
    "with_recipe",
]
