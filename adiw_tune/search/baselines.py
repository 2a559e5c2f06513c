"""Baselines of a search: plain training at points of its space, without parameters of weights."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from adiw_tune.arms import BASELINES
from adiw_tune.errors import UserError
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import Draw, draw_at, start_of
from adiw_tune.training.config import WeightConfig, default_reference_weight, for_loss_of

if TYPE_CHECKING:
    import optuna

_TRIED = 30  # draws in which a parameter is changed: it may make a difference in some branch only
_REFERENCE_WEIGHT = "reference_weight"
_OF_REFERENCE_ROWS = ("reference_batch_size", _REFERENCE_WEIGHT)
Change: TypeAlias = tuple[str, dict[str, Any], dict[str, Any]]  # parameter, before, after
_REFERENCE_WEIGHTS = (0.1, 0.3, 1.0, 3.0)  # which pooled tries, unless the space says so itself


def as_baseline(name: str, point: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with data and recipe of ``point``, trained by the baseline ``name``.

    Rate and decay are those for a loss that is averaged. Fields of the weights take their defaults.
    Only pooled keeps the fields about reference rows; if ``point`` does not train on them, it uses
    the default ``reference_weight``.
    """
    plain = {field.name: field.default for field in dataclasses.fields(WeightConfig)}
    if name == "pooled":
        plain |= {field: point[field] for field in _OF_REFERENCE_ROWS}
    weight = (name == "pooled" and point["reference_weight"]) or default_reference_weight(name)
    return {**for_loss_of(name, point), **plain, "method": name, "reference_weight": weight}


class Baselines:
    """Plain training beside a space, as if it were among its choices.

    Args:
        space: to which they are added.
        draws: from it. A baseline that the space itself proposes is not added.
    """

    def __init__(self, space: SpaceFile, draws: list[Draw]) -> None:
        own = {one.arm for one in draws}
        self.names = [name for name in BASELINES if name not in own]
        self._start = start_of(draws)
        changes = list(_changes(space, draws))
        self._with_effect = {name: _with_effect(name, changes) for name in BASELINES}
        # If the space does not search pooled's reference_weight, pooled does: it is its only own
        # parameter. The name may be taken by one that makes no difference to pooled.
        self._own_weight = None
        if not any(_weights_differ(before, after) for _, before, after in changes):
            taken = any(_REFERENCE_WEIGHT in one.params for one in draws)
            self._own_weight = f"pooled_{_REFERENCE_WEIGHT}" if taken else _REFERENCE_WEIGHT
            self._with_effect["pooled"].add(self._own_weight)

    def start(self, name: str) -> dict[str, Any]:
        """Values for the first trial of ``name``: its defaults."""
        own = {} if self._own_weight is None else {self._own_weight: _REFERENCE_WEIGHTS[0]}
        return self.fixed(name) | {"reference_weight": default_reference_weight(name)} | own

    def fixed(self, name: str) -> dict[str, Any]:
        """Values of the parameters that make no difference to ``name``."""
        return {n: v for n, v in self._start.items() if n not in self._with_effect[name]}

    def recipe_of(self, params: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Values that give ``name`` the data and recipe of a trial with ``params``.

        Parameters without effect on ``name`` keep that trial's values too, since the space found
        the whole point feasible.
        """
        return self.fixed(name) | dict(params)

    def told(self, suggested: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The suggested values, or ranges, that make a difference to ``name``."""
        return {n: v for n, v in suggested.items() if n in self._with_effect[name]}

    def config(self, name: str, point: Mapping[str, Any], trial: "optuna.Trial") -> dict[str, Any]:
        """The configuration of ``name`` for a ``point`` that the space made of ``trial``."""
        config = as_baseline(name, point)
        if name == "pooled" and self._own_weight is not None:
            config[_REFERENCE_WEIGHT] = trial.suggest_categorical(
                self._own_weight, _REFERENCE_WEIGHTS
            )
        return config


def _with_effect(name: str, changes: list[Change]) -> set[str]:
    """The parameters, whatever their names, by which configurations of a baseline differ."""
    return {
        parameter
        for parameter, before, after in changes
        if as_baseline(name, before) != as_baseline(name, after)
    }


def _weights_differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    one, other = (as_baseline("pooled", point)[_REFERENCE_WEIGHT] for point in (before, after))
    return bool(one != other)


def _changes(space: SpaceFile, draws: list[Draw]) -> Iterator[Change]:
    """Of each parameter, in several draws: the configuration with its value, and with another."""
    values: dict[str, list[Any]] = {}
    for one in draws:
        for parameter, value in one.params.items():
            values.setdefault(parameter, []).append(value)
    for parameter, seen in values.items():
        having = [one for one in draws if parameter in one.params]
        for place, one in enumerate(having[:_TRIED]):
            others = [value for value in dict.fromkeys(seen) if value != one.params[parameter]]
            if not others:
                continue
            value = others[place % len(others)]  # so that each has its turn
            try:
                after = draw_at(space, {**one.params, parameter: value})
            except UserError:  # which a draw would have met, were it likely
                continue
            if after is not None:
                yield parameter, one.config.as_dict(), after.config.as_dict()
