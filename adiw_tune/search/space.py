"""A search space as a user writes it: a Python file with ``space(trial)``, Optuna's own idiom."""

import math
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adiw_tune.errors import UserError
from adiw_tune.in_time import in_time
from adiw_tune.ranges import shown
from adiw_tune.training import TrialConfig
from adiw_tune.training.config import OF_THE_TASK, with_recipe
from adiw_tune.user_file import run_file, why

if TYPE_CHECKING:
    import optuna

LONGEST_S = 60.0  # that a space may take for one point, or its file to load
_LONGEST = 100  # of a value, for an error
_MOST_WHOLE = 2**44  # Optuna samples whole numbers as float64, with fractions, of 53 bits
_SIZES = (1e-300, 1e300)  # of a float: beyond them digits are lost, or a difference overflows
_MOST_STEPS = 10_000_000  # of a float: with more, rounding leads off the grid that a record checks
_RIGHT = (
    "which a record cannot give back: use an int, a float other than NaN, a str that UTF-8 can "
    "encode, a bool or None"
)
_OWN: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
}


class SpaceFile:
    """The ``space`` function of a file: trial -> values of :class:`TrialConfig`'s fields.

    What it returns is the configuration; with ``recipe`` among it, what differs from that recipe.
    What it suggests is Optuna's: its names are free, but one that is a field must be returned too,
    or it would have no effect. By ``optuna.TrialPruned`` it calls a point infeasible.

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
        self.folder = folder or Path.cwd()
        self._folds = folds
        self._space: Callable[[Any], Any] | None = None
        self._warned: set[str] = set()

    def __call__(self, trial: "optuna.Trial") -> dict[str, Any]:
        """One point of the space: every field of the configuration, so that records are whole.

        Raises:
            optuna.TrialPruned: the space calls the point infeasible.
            UserError: it fails in any other way, takes longer than a minute, or returns what is no
                configuration.
        """
        if self._space is None:
            self._space = self._limited(self._load, "takes")
        values = self._limited(partial(self._drawn, self._space, trial), "space() took")
        ours = {"seed": self.seed, "folds": self._folds}
        point = {**TrialConfig.defaults(), **ours, **values}
        with suppress(UserError):  # which the trial will meet again, and tell
            point = {**TrialConfig.defaults(), **ours, **with_recipe(values)}
            config = TrialConfig.from_mapping(point, self.folder)
            point |= {name: getattr(config, name) for name in OF_THE_TASK}
        return point

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_space": None}

    def _limited(self, call: Callable[[], Any], what: str) -> Any:
        try:
            return in_time(call, LONGEST_S)
        except TimeoutError as error:
            raise UserError(
                f"space file '{self.path}': {what} longer than {LONGEST_S:.0f} s, and was given up"
            ) from error

    def _load(self) -> Callable[[Any], Any]:
        try:
            names = run_file(self.path, "space", "space(trial)")
        except KeyboardInterrupt as error:  # its own: this thread is not told of Ctrl-C
            told = why(error, self.path)
            raise UserError(f"space file '{self.path}' does not run: {told}") from error
        if not callable(names.get("space")):
            raise UserError(
                f"space file '{self.path}' defines no 'space': write a function "
                "space(trial: optuna.Trial) -> dict"
            )
        space: Callable[[Any], Any] = names["space"]
        return space

    def _drawn(self, space: Callable[[Any], Any], trial: "optuna.Trial") -> dict[str, Any]:
        """What the user's function returns, once it is known to be plain values."""
        import optuna

        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                # Of choices that are no plain values: they are made that, or refused.
                warnings.filterwarnings("ignore", "Choices for a categorical distribution")
                values = space(trial)
            returned = {}
            if is_dict := isinstance(values, dict):
                returned = _plain_dict(values)
                if isinstance(model := returned.get("model"), dict):
                    returned["model"] = _plain_dict(model)
        except optuna.TrialPruned:
            self._check_suggested(trial.distributions)
            raise
        except BaseException as error:  # also SystemExit: it is not for a space to end a search
            raise UserError(f"space() in '{self.path}' failed: {why(error, self.path)}") from error
        self._warn_once(warned)
        if not is_dict:
            raise UserError(
                f"space() in '{self.path}' must return a dict of parameters; "
                f"it returned {type(values).__name__}"
            )
        self._check_suggested(trial.distributions)
        self._check_returned(returned, trial.distributions)
        return returned

    def _warn_once(self, warned: list[warnings.WarningMessage]) -> None:
        """Pass on each warning once: Optuna repeats its own at each point of a search."""
        for one in warned:
            if (text := str(one.message)) not in self._warned:
                self._warned.add(text)
                warnings.warn(f"space() in '{self.path}': {text}", one.category, stacklevel=1)

    def _check_suggested(self, suggested: dict[str, Any]) -> None:
        """Refuse what no record could hold, or give back."""
        for name, distribution in suggested.items():
            if type(name) not in (str, np.str_) or not _is_kept(plain(name)):
                raise UserError(
                    f"space() in '{self.path}' suggests {_told(name)}: use plain str names "
                    "that UTF-8 can encode"
                )
            if told := _wrong_choice([*map(plain, getattr(distribution, "choices", ()))]):
                raise UserError(f"space() in '{self.path}' suggests {name!r} with choice{told}")
            if told := _wrong_range(distribution):
                raise UserError(f"space() in '{self.path}' suggests {name!r} {told}")

    def _check_returned(self, values: dict[str, Any], suggested: dict[str, Any]) -> None:
        """Refuse what no record could hold, and a field that would have no effect."""
        model = values.get("model")
        inside = model if isinstance(model, dict) else {}
        for name, value in [*values.items(), *inside.items()]:
            if not _is_kept(value) and value is not inside:
                raise UserError(
                    f"space() in '{self.path}' returns {name!r}: {_told(value)}, {_RIGHT}"
                )
        left_out = [n for n in suggested if n in TrialConfig.defaults() and n not in values]
        if left_out:
            raise UserError(
                f"space() in '{self.path}' suggests {left_out[0]!r} and does not return it, so it "
                "would have no effect: return it, or suggest it by a name of your own"
            )

    def checked(self, point: dict[str, Any]) -> TrialConfig:
        """The configuration of one point.

        Raises:
            UserError: it is not valid.
        """
        try:
            return TrialConfig.from_mapping(point, self.folder)
        except UserError as error:
            raise UserError(f"space file '{self.path}': {error}") from error


def plain(value: Any) -> Any:
    """A NumPy scalar, or a member of an IntEnum or the like, as Python's own type; else as is."""
    kind = type(value)
    if issubclass(kind, np.generic) and not issubclass(kind, np.timedelta64 | np.datetime64):
        return np.generic.item(value)
    if kind is bool:
        return value
    return next((own(value) for base, own in _OWN.items() if issubclass(kind, base)), value)


def _plain_dict(values: dict[Any, Any]) -> dict[Any, Any]:
    return {plain(name): plain(value) for name, value in values.items()}


def _wrong_choice(choices: list[Any]) -> str | None:
    """What is wrong with the first that cannot be told apart or given back; None if none is."""
    first: dict[Any, Any] = {}
    for choice in choices:
        if not _is_kept(choice):
            return f" {_told(choice)}, {_RIGHT}; for anything else suggest a name for each"
        if repr(equal := first.setdefault(choice, choice)) != repr(choice):
            return f"s {equal!r} and {choice!r}, which Optuna cannot tell apart: leave one out"
    return None


def _wrong_range(one: Any) -> str | None:
    """Why Optuna's samplers, which compute in float64, would fail on a range; None if not."""
    low, high, step = (getattr(one, name, None) for name in ("low", "high", "step"))
    if low is None or high is None:
        return None
    ends = f"from {shown(low)} to {shown(high)}"
    if isinstance(low, int):
        inside = -_MOST_WHOLE <= low <= high <= _MOST_WHOLE
        return None if inside else f"{ends}: use whole numbers in [-2^44, 2^44]"
    least, most = _SIZES
    if any(end and not least <= abs(end) <= most for end in (low, high)):
        return f"{ends}: each end must be 0, or in [{least:g}, {most:g}] in absolute value"
    if step and (high - low) / step > _MOST_STEPS:
        return f"{ends} in steps of {step}: use {_MOST_STEPS:,} steps at most, or no step"
    return None


def _is_kept(value: Any) -> bool:
    """Whether a record, which is JSON in UTF-8, gives it back as it is."""
    if type(value) not in (bool, int, float, str, type(None)):
        return False
    try:
        str(value).encode()  # which fails for a lone surrogate, and for an int too long to print
    except ValueError:
        return False
    return not (isinstance(value, float) and math.isnan(value))


def _told(value: Any) -> str:
    """A value and its type in one line, also if its class cannot tell it."""
    try:
        told = shown(value)
    except Exception:
        told = "a value"
    return f"{told[:_LONGEST]} of type {type(value).__name__}"
