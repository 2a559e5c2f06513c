"""Before a search: draws that meet every branch of its space, and the points that it begins with.

What trials are compared by, a divergence or a method, is their arm. Which suggested parameters
settle it, whatever their names, is learnt from the draws.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.study import StudyDirection

from adiw_tune.arms import arm
from adiw_tune.divergences import DEFAULT_BANDWIDTHS, DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.record.runs import MOST_SKIPPED
from adiw_tune.search.sampler import FixingSampler
from adiw_tune.search.space import SpaceFile, plain
from adiw_tune.training import TrialConfig
from adiw_tune.training.config import default_reference_weight

_TWO = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # as in a search; nothing is told here
_DRAWS = 50  # enough to meet every branch of a space
_MOST_CHOICES = 100  # of a parameter that are each met
_OF_EACH_CHOICE = 2  # draws, at least: what both have in common is likely to be no chance
_DEFAULTS = TrialConfig.defaults()
_HOW_TO_MINIMISE = (
    "steps",
    "step_size",
    "bandwidth",
    "warm_start",
    "decay",
    "warmup_epochs",
    "representation",
    "reference_weight",
)


@dataclass(frozen=True)
class Draw:
    """A point of a space: what it suggested, and the configuration that it returned."""

    params: dict[str, Any]
    config: TrialConfig
    arm: str


def check_space(space: SpaceFile) -> list[TrialConfig]:
    """Draw from the space, its starting points too, and validate what comes out.

    Raises:
        UserError: a point is not right, or none is feasible.
    """
    draws = draw(space)
    study = _study()
    for point in starting_points(draws):
        draws += _drawn(space, study, point)
    return [one.config for one in draws]


def starting_points(draws: list[Draw]) -> list[dict[str, Any]]:
    """Each arm, by the values that settle it, minimised in the default way.

    The bandwidth is the default of the representation that the arm has then.
    """
    points = []
    for name, values in settled(draws).items():
        met = {one.config.representation for one in draws if one.arm == name}
        representation = _DEFAULTS["representation"]
        if representation not in met:
            representation = min(met)
        bandwidth = DEFAULT_BANDWIDTHS[representation]
        points.append({**_defaults(), "bandwidth": bandwidth, **values})
    return points


def start_of(draws: list[Draw]) -> dict[str, Any]:
    """The first starting point; where the space has one arm only, its weights by default."""
    return next(iter(starting_points(draws)), _defaults())


def _defaults() -> dict[str, Any]:
    weight = default_reference_weight(_DEFAULTS["method"])
    return {**{name: _DEFAULTS[name] for name in _HOW_TO_MINIMISE}, "reference_weight": weight}


def draw(space: SpaceFile) -> list[Draw]:
    """At random, and so that each choice of a parameter is met.

    Raises:
        UserError: a point is not right, or none is feasible.
    """
    study, draws, skipped = _study(), list[Draw](), 0
    while len(draws) < _DRAWS and skipped < MOST_SKIPPED:  # in a row
        found = _drawn(space, study, {})
        draws += found
        skipped = 0 if found else skipped + 1
    for name, choice in _rare_choices(study):
        draws += _drawn(space, study, {name: choice})
    if not draws:
        raise UserError(
            f"space() in '{space.path}' raised TrialPruned at each of {len(study.trials)} points: "
            "there is none that could be tried"
        )
    return draws


def settled(draws: list[Draw]) -> dict[str, dict[str, Any]]:
    """Arm -> the values of parameters by which the space comes to it, and to no other.

    Nothing for an arm that does not follow from what is suggested, or if there is one arm only.
    """
    arms = dict.fromkeys(one.arm for one in draws)
    in_order = [*(name for name in DIVERGENCES if name in arms), *arms]  # auto, and files last
    found = {name: _settling(name, draws) for name in dict.fromkeys(in_order)}
    return {name: values for name, values in found.items() if values}


def agrees(params: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a point with ``params`` has none of the values otherwise."""
    return all(params.get(name, value) == value for name, value in values.items())


def _settling(arm: str, draws: list[Draw]) -> dict[str, Any]:
    """The fewest values that all draws of ``arm`` have, where they ask, and no other draw."""
    own, others = ([one.params for one in draws if (one.arm == arm) == is_own] for is_own in (1, 0))
    seen: dict[str, list[Any]] = {}
    for params in own:
        for name, value in params.items():
            seen.setdefault(name, []).append(value)
    common = {name: some[0] for name, some in seen.items() if all(v == some[0] for v in some)}

    def tells(values: dict[str, Any]) -> bool:
        return not any(agrees(params, values) for params in others)

    if len(own) < _OF_EACH_CHOICE or not tells(common):
        return {}
    for name in sorted(common, key=lambda name: name in ("divergence", "method")):
        if tells(fewer := {n: value for n, value in common.items() if n != name}):
            common = fewer
    return common


def draw_at(space: SpaceFile, params: Mapping[str, Any]) -> Draw | None:
    """The point with these values, and others at random; None if it is infeasible."""
    return next(iter(_drawn(space, _study(), params)), None)


def _study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=_TWO, sampler=optuna.samplers.RandomSampler(seed=0))


def _drawn(space: SpaceFile, study: optuna.Study, chosen: Mapping[str, Any]) -> list[Draw]:
    """One point with these values, if it is feasible."""
    sampler = study.sampler
    study.sampler = FixingSampler(chosen, sampler)
    trial = study.ask()
    try:
        point = space(trial)
    except optuna.TrialPruned:
        return []
    finally:
        study.sampler = sampler
    params = {name: plain(value) for name, value in trial.params.items()}
    return [Draw(params, space.checked(point), arm(point))]


def _rare_choices(study: optuna.Study) -> list[tuple[str, Any]]:
    """(parameter, choice) as often as draws of it are wanting."""
    trials = study.get_trials(deepcopy=False)
    ranges = {name: one for trial in trials for name, one in trial.distributions.items()}
    had = Counter((name, value) for trial in trials for name, value in trial.params.items())
    return [
        (name, choice)
        for name, distribution in ranges.items()
        for choice in getattr(distribution, "choices", ())[:_MOST_CHOICES]
        for _ in range(_OF_EACH_CHOICE - had[name, choice])
    ]
