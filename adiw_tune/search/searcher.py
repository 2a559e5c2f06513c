"""Optuna's proposals for Ray Tune, told the truth about trials that did not run their course."""

import math
from typing import Any

import optuna
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from adiw_tune.search.record import EventLog
from adiw_tune.search.space import SpaceFile

METRICS = ["accuracy", "train_seconds"]
MODES = ["max", "min"]


class TradeoffSearch(OptunaSearch):
    """OptunaSearch over accuracy (max) and training seconds (min) of whole runs.

    The stock searcher tells Optuna that a trial which was stopped early, or which ended in NaN, is
    complete at its short cost, and the front fills with stubs. Here a trial without finite
    metrics is a failure, and one that stopped before its last epoch is pruned. The first trials
    are the space's starting points.

    Args:
        space: what to propose from.
        seed: of the sampler. Proposals depend on measured seconds too, so that two searches of
            one seed begin alike and then part.
        trials: how many to propose, less those which ``events`` holds and this searcher lacks: a
            kill can take the last second of Ray's state, with a trial that ended in it.
        events: of the search.
    """

    def __init__(self, space: SpaceFile, seed: int, trials: int, events: EventLog) -> None:
        self._trials = trials
        self._events = events
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        super().__init__(
            space,
            metric=METRICS,
            mode=MODES,
            sampler=sampler,
            points_to_evaluate=space.starting_points(),
        )

    def suggest(self, trial_id: str) -> Any:
        """A proposal for ``trial_id``, or Tune's word for there being no more."""
        ended = {event["trial"] for event in self._events if event["event"] == "end"}
        if len(ended | self._ot_trials.keys()) >= self._trials:
            return Searcher.FINISHED
        return super().suggest(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Optuna how ``trial_id`` ended."""
        if error or not result or not all(_is_finite(result.get(name)) for name in METRICS):
            super().on_trial_complete(trial_id, None, error=True)
        elif result["epoch"] < result["config/epochs"]:
            super().on_trial_complete(trial_id, None)
        else:
            super().on_trial_complete(trial_id, result)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
