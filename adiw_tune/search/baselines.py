"""Baselines of a search: plain training at points of its space, without what is about weights."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from adiw_tune.arms import BASELINES
from adiw_tune.errors import UserError
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import Draw, draw_at, start_of
from adiw_tune.training.config import WeightConfig, default_reference_weight

if TYPE_CHECKING:
    import optuna

_TRIED = 3  # draws in which a parameter is changed, to see whether that makes a difference
_REFERENCE_WEIGHT = "reference_weight"
_OF_REFERENCE_ROWS = ("reference_batch_size", _REFERENCE_WEIGHT)
_REFERENCE_WEIGHTS = (0.1, 0.3, 1.0, 3.0)  # which pooled tries, unless the space says so itself


def as_baseline(name: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with data and recipe of ``point``, trained by the baseline ``name``.

    Fields of the weights take their defaults. Only pooled keeps the fields about reference rows; if
    ``point`` does not train on them, it uses the default ``reference_weight``.
    """
    plain = {field.name: field.default for field in dataclasses.fields(WeightConfig)}
    if name == "pooled":
        plain |= {field: point[field] for field in _OF_REFERENCE_ROWS}
    weight = (name == "pooled" and point["reference_weight"]) or default_reference_weight(name)
    return {**point, **plain, "method": name, "reference_weight": weight}


class Baselines:
    """Plain training beside a space, as if it were among its choices.

    Args:
        space: to which they are added.
        draws: from it. A baseline that the space comes to by itself is left to it.
    """

    def __init__(self, space: SpaceFile, draws: list[Draw]) -> None:
        own = {one.arm for one in draws}
        self.names = [name for name in BASELINES if name not in own]
        self._start = start_of(draws)
        self._with_effect = _with_effect(space, draws)
        # If the space does not search reference_weight, pooled searches it: it is pooled's only own
        # parameter.
        self._own_weights = self._with_effect["pooled"] == self._with_effect["erm"]
        if self._own_weights:
            self._with_effect["pooled"].add(_REFERENCE_WEIGHT)

    def start(self, name: str) -> dict[str, Any]:
        """What is to be suggested for the first trial of ``name``: its defaults."""
        return self.fixed(name) | {"reference_weight": default_reference_weight(name)}

    def fixed(self, name: str) -> dict[str, Any]:
        """What is to be suggested where it makes no difference to ``name``."""
        return {n: v for n, v in self._start.items() if n not in self._with_effect[name]}

    def recipe_of(self, params: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What is to be suggested for data and recipe of a trial with ``params``."""
        return self.fixed(name) | self.told(params, name)

    def told(self, suggested: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Of what was suggested, or of its ranges, what makes a difference to ``name``."""
        return {n: v for n, v in suggested.items() if n in self._with_effect[name]}

    def config(self, name: str, point: Mapping[str, Any], trial: "optuna.Trial") -> dict[str, Any]:
        """The configuration of ``name`` for a ``point`` that the space made of ``trial``."""
        config = as_baseline(name, point)
        if name == "pooled" and self._own_weights:
            config[_REFERENCE_WEIGHT] = trial.suggest_categorical(
                _REFERENCE_WEIGHT, _REFERENCE_WEIGHTS
            )
        return config


def _with_effect(space: SpaceFile, draws: list[Draw]) -> dict[str, set[str]]:
    """Baseline -> the parameters, whatever their names, by which its configurations differ."""
    found: dict[str, set[str]] = {name: set() for name in BASELINES}
    values: dict[str, list[Any]] = {}
    for one in draws:
        for parameter, value in one.params.items():
            values.setdefault(parameter, []).append(value)
    for parameter, seen in values.items():
        some = [one for one in draws if parameter in one.params][:_TRIED]
        for before, after in _changed(space, some, parameter, seen):
            for name in BASELINES:
                if as_baseline(name, before) != as_baseline(name, after):
                    found[name].add(parameter)
    return found


def _changed(
    space: SpaceFile, draws: list[Draw], parameter: str, values: list[Any]
) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """Configurations with one value of a parameter and with another, all else alike."""
    for one in draws:
        others = dict.fromkeys(value for value in values if value != one.params[parameter])
        for value in list(others)[:_TRIED]:
            try:
                after = draw_at(space, {**one.params, parameter: value})
            except UserError:  # which a draw would have met, were it likely
                continue
            if after is not None:
                yield one.config.as_dict(), after.config.as_dict()
