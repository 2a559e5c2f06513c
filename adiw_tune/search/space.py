"""A search space as a user writes it: a Python file with ``space(trial)``, Optuna's own idiom."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.training import TrialConfig
from adiw_tune.user_file import run_file, why

if TYPE_CHECKING:
    import optuna

_DRAWS = 50  # enough to meet every branch of a space
_HOW_TO_MINIMISE = (
    "divergence",
    "steps",
    "step_size",
    "bandwidth",
    "warm_start",
    "decay",
    "warmup_epochs",
    "representation",
)


class SpaceFile:
    """The ``space`` function of a file: trial -> values of :class:`TrialConfig`'s fields.

    An object that holds a path, so that Ray and Optuna can pickle it and a restored search loads
    the function anew. The file is code and runs with the rights of whoever starts the search.

    Args:
        path: a Python file that defines ``space(trial: optuna.Trial) -> dict``.
        seed: of the trials, unless the space sets one itself.
        folder: from which it names files; None is the working directory.
        folds: that the clean rows are cut into, unless the space says so itself.
    """

    def __init__(self, path: Path, seed: int, folder: Path | None = None, folds: int = 1) -> None:
        self.path = path
        self.seed = seed
        self._folder = folder or Path.cwd()
        self._folds = folds
        self._space: Callable[[Any], dict[str, Any]] | None = None

    def __call__(self, trial: "optuna.Trial") -> dict[str, Any]:
        """One point of the space: every field of the configuration, so that records are whole."""
        if self._space is None:
            self._space = self._load()
        try:
            values = self._space(trial)
        except Exception as error:
            raise UserError(f"space() in '{self.path}' failed: {why(error, self.path)}") from error
        if not isinstance(values, dict):
            raise UserError(
                f"space() in '{self.path}' must return a dict of parameters; "
                f"it returned {type(values).__name__}"
            )
        ours = {"seed": self.seed, "folds": self._folds}
        point = {**TrialConfig.defaults(), **ours, **trial.params, **values}
        with suppress(UserError):  # which the trial will meet again, and tell
            point["shift"] = TrialConfig.from_mapping(point, self._folder).shift
        return point

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_space": None}

    def _load(self) -> Callable[[Any], dict[str, Any]]:
        names = run_file(self.path, "space", "space(trial)")
        if not callable(names.get("space")):
            raise UserError(
                f"space file '{self.path}' defines no 'space': write a function "
                "space(trial: optuna.Trial) -> dict"
            )
        space: Callable[[Any], dict[str, Any]] = names["space"]
        return space

    def check(self) -> list[TrialConfig]:
        """Draw from the space at random and validate what comes out, before anything is spent."""
        return [config for _, config in self._draws()]

    def starting_points(self) -> list[dict[str, Any]]:
        """Each divergence that the space lets a search choose, minimised in the default way.

        A search that begins with these has tried every divergence at its presumed best before it
        prefers one. What else the space asks for is left open, as is a default that it excludes.
        Where the divergence is no choice, but the method is, each method; else there are none.
        """
        ranges: dict[str, optuna.distributions.BaseDistribution] = {}
        for trial, _ in self._draws():
            ranges.update(trial.distributions)
        defaults = {**TrialConfig.defaults(), "bandwidth": 1.0}

        def point(divergence: str) -> dict[str, Any]:
            values = {**defaults, "divergence": divergence}
            names = (name for name in _HOW_TO_MINIMISE if name in ranges)
            return {name: values[name] for name in names if _allows(ranges[name], values[name])}

        asked = getattr(ranges.get("divergence"), "choices", ())
        if not asked:
            return [{"method": m} for m in getattr(ranges.get("method"), "choices", ())]
        own = [choice for choice in asked if choice not in DIVERGENCES]  # auto, and files
        return [point(divergence) for divergence in (*DIVERGENCES, *own) if divergence in asked]

    def _draws(self) -> "Iterator[tuple[optuna.Trial, TrialConfig]]":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(_DRAWS):
            trial = study.ask()
            values = self(trial)
            try:
                yield trial, TrialConfig.from_mapping(values, self._folder)
            except UserError as error:
                raise UserError(f"space file '{self.path}': {error}") from error


def _allows(distribution: "optuna.distributions.BaseDistribution", value: Any) -> bool:
    if hasattr(distribution, "choices"):
        return value in distribution.choices
    return bool(distribution.low <= value <= distribution.high)  # type: ignore[attr-defined]
