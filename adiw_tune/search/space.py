"""A search space as a user writes it: a Python file with ``space(trial)``, Optuna's own idiom."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adiw_tune.errors import UserError
from adiw_tune.tracking.check import one_line
from adiw_tune.training import TrialConfig

if TYPE_CHECKING:
    import optuna

_CHECK_DRAWS = 50


class SpaceFile:
    """The ``space`` function of a file: trial -> values of :class:`TrialConfig`'s fields.

    An object that holds a path, so that Ray and Optuna can pickle it and a restored search loads
    the function anew. The file is code and runs with the rights of whoever starts the search.

    Args:
        path: a Python file that defines ``space(trial: optuna.Trial) -> dict``.
        seed: of the trials, unless the space sets one itself.
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.seed = seed
        self._space: Callable[[Any], dict[str, Any]] | None = None

    def __call__(self, trial: "optuna.Trial") -> dict[str, Any]:
        """One point of the space: every field of the configuration, so that records are whole."""
        if self._space is None:
            self._space = self._load()
        try:
            values = self._space(trial)
        except Exception as error:
            raise UserError(
                f"space() in '{self.path}' failed: {type(error).__name__}: {one_line(error)}"
            ) from error
        if not isinstance(values, dict):
            raise UserError(
                f"space() in '{self.path}' must return a dict of parameters; "
                f"it returned {type(values).__name__}"
            )
        return {**TrialConfig().as_dict(), "seed": self.seed, **trial.params, **values}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_space": None}

    def _load(self) -> Callable[[Any], dict[str, Any]]:
        if not self.path.is_file():
            raise UserError(f"no space file '{self.path}': give a Python file with space(trial)")
        try:
            names = runpy.run_path(str(self.path))
        except Exception as error:
            raise UserError(
                f"space file '{self.path}' does not run: {type(error).__name__}: {one_line(error)}"
            ) from error
        if not callable(names.get("space")):
            raise UserError(
                f"space file '{self.path}' defines no 'space': write a function "
                "space(trial: optuna.Trial) -> dict"
            )
        space: Callable[[Any], dict[str, Any]] = names["space"]
        return space

    def check(self) -> list[TrialConfig]:
        """Draw from the space at random and validate what comes out, before anything is spent."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        return [self._draw(study.ask()) for _ in range(_CHECK_DRAWS)]

    def _draw(self, trial: "optuna.Trial") -> TrialConfig:
        values = self(trial)
        try:
            return TrialConfig.from_mapping(values)
        except UserError as error:
            raise UserError(f"space file '{self.path}': {error}") from error
