"""The one thing that, with the device, fixes a training run."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from adiw_tune.arms import BASELINES
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_whole, shown
from adiw_tune.tasks import find_task, located_shift
from adiw_tune.training.config.data import DataConfig
from adiw_tune.training.config.recipe import Recipe
from adiw_tune.training.config.recipes import with_recipe
from adiw_tune.training.config.weights import WeightConfig
from adiw_tune.user_file import is_file

OF_THE_TASK = ("shift", "optimizer", "schedule")  # fields whose default is the task's
_MOST_SEED = 2**62  # for torch, a few added


@dataclass(frozen=True)
class TrialConfig(Recipe, WeightConfig, DataConfig):
    """A validated training run: data, weights, recipe and seed, whose fields stand side by side.

    :class:`DataConfig` says what is trained on, :class:`WeightConfig` how rows are weighted and
    :class:`Recipe` how the network is fitted.

    Args:
        seed: fixes the splits, the shift, initialisation and the order of samples, in [0, 2^62].
    """

    seed: int = 0

    def __post_init__(self) -> None:
        self._check_data()
        self._check_weights()
        task = find_task(self.task)
        self._check_recipe(task.optimizer is not None, task.scheduler is not None)
        check_whole("seed", self.seed, 0, _MOST_SEED)

    def remarks(self) -> list[str]:
        """What is probably a mistake, one line each."""
        found = []
        if self.method not in BASELINES and self.warmup_epochs >= self.epochs:
            found.append(
                "warmup_epochs is not below epochs: no mini-batch is weighted; give fewer of them, "
                "0 for none, or more epochs"
            )
        if self.lr_warmup_epochs >= self.schedule_epochs:
            found.append(
                "lr_warmup_epochs is not below the epochs of the schedule: the learning rate only "
                "rises; give fewer of them, or more epochs"
            )
        return found

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every field's default, before a task is known."""
        return {field.name: field.default for field in dataclasses.fields(cls)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], folder: Path | None = None) -> Self:
        """From keyword values as a search space or a record gives them, types checked.

        Args:
            values: of the fields; those left out have their defaults, or those of the recipe that
                ``recipe`` names, see :data:`adiw_tune.training.RECIPES`.
            folder: what relative paths of the user's own task, divergence and label files are
                relative to; the result has absolute paths. None leaves them unchanged.
        """
        values = with_recipe(values)
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in fields:
                raise UserError(f"unknown parameter '{name}': choose from {', '.join(fields)}")
            if not _fits(value, str(fields[name])):
                raise UserError(
                    f"{name} must be of type {_type_name(fields[name])}; got {shown(value)}"
                )
        return cls(**{**values, **_located(values, folder)})

    def as_dict(self) -> dict[str, Any]:
        """Every field, for records."""
        return dataclasses.asdict(self)


def _located(values: Mapping[str, Any], folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    named = {name: values[name] for name in ("task", "divergence") if name in values}
    files = {n: str(folder / path) for n, path in named.items() if is_file(path)}
    shift = {"shift": located_shift(values["shift"], folder)} if "shift" in values else {}
    return {**files, **shift}


def _type_name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, annotation: str) -> bool:
    if value is None:
        return "None" in annotation
    if isinstance(value, bool) or "bool" in annotation:
        return isinstance(value, bool) and "bool" in annotation
    if "Mapping" in annotation:
        return isinstance(value, Mapping)
    if "str" in annotation:
        return isinstance(value, str)
    if "float" in annotation:
        return isinstance(value, int | float)
    return isinstance(value, int)
