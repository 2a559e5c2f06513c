"""An Optuna sampler that gives some parameters chosen values, as far as their ranges have them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState


class FixingSampler(BaseSampler):
    """Gives the value chosen for a parameter or the nearest that its range contains, as drawn.

    Optuna's own ways, ``enqueue_trial`` and ``PartialFixedSampler``, take a value that the range
    does not contain, which no study can then be made of again.

    Args:
        chosen: name -> value. Names that a trial does not ask for have no effect.
        inner: samples all others, and those whose range holds nothing like the value.
    """

    def __init__(self, chosen: Mapping[str, Any], inner: BaseSampler) -> None:
        self._chosen = chosen
        self._inner = inner

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All of the inner sampler's but what is chosen."""
        inner = self._inner.infer_relative_search_space(study, trial)
        return {name: inner[name] for name in inner if name not in self._chosen}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """By the inner sampler."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """What is chosen, or else by the inner sampler."""
        if param_name in self._chosen:
            found = within(param_distribution, self._chosen[param_name])
            if found:
                return found[0]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """By the inner sampler."""
        self._inner.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """By the inner sampler."""
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """By the inner sampler."""
        self._inner.reseed_rng()


def within(distribution: BaseDistribution, value: Any) -> tuple[Any] | None:
    """``value`` as the range has it, or what is nearest in it; in a tuple, as it may be None.

    None if there is nothing near: a choice that is not among the choices, or not a number.
    """
    if found := _drawn(distribution, value):
        return found
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not isinstance(distribution, IntDistribution | FloatDistribution):
        return None
    low, high, step = distribution.low, distribution.high, distribution.step
    if step:
        value = low + round((value - low) / step) * step
    return _drawn(distribution, min(max(value, low), high))


def _drawn(distribution: BaseDistribution, value: Any) -> tuple[Any] | None:
    """What a draw of ``value`` gives; of choices the space's own, as a member of an IntEnum."""
    try:
        internal = distribution.to_internal_repr(value)
    except ValueError:  # it is not of the kind at all
        return None
    if not distribution._contains(internal):
        return None
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.to_external_repr(internal),)
    return (value,)
