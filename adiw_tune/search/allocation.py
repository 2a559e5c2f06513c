"""Which arm the next trial goes to: a starting point, one short of trials, or Optuna's choice."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

from adiw_tune.arms import BASELINES
from adiw_tune.metrics import Metric
from adiw_tune.record.history import History
from adiw_tune.record.runs import Run, Skipped
from adiw_tune.search.baselines import Baselines
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import Draw, agrees, draw, settled, starting_points

_SKIPPED_FOR_A_CHOICE = 3  # infeasible points in a row, after which no baseline is tried
_TRIED_AT_THE_END = 2  # times since the last weighted trial; a baseline is not tried more often


@dataclass(frozen=True)
class Allocation:
    """What the next trial is for.

    Args:
        of: a baseline, or None for the space's own arms.
        chosen: values to suggest; the sampler chooses the others.
    """

    of: str | None
    chosen: dict[str, Any]


class TrialAllocation:
    """Allocates trials to arms, as a function of what has happened.

    The first trials are the space's starting points, each divergence by its defaults. After them
    every other one goes to the divergence tried least, until each has had its floor: half of its
    even share of the trials. So none loses because it was tried too little. The same goes for
    methods that the space chooses among. The arm of a trial is read from its configuration.

    Baselines are tried as if they were among the space's choices: they start in turns with the
    divergences, and have the same floor. The last trials, one for each baseline, have data and
    recipe of the best weighted trial so far, so that a longer training is not mistaken for a gain
    of weighting. If each baseline has had that recipe already, as in an extension, these trials go
    to the space. A search that ends early has them as well: see ``closing``.

    Args:
        space: of the search.
        trials: how many it has in all.
        metric: that it chooses by.
        with_baselines: whether plain training is tried, too.
    """

    def __init__(
        self, space: SpaceFile, trials: int, metric: Metric, with_baselines: bool = False
    ) -> None:
        self._space = space
        self._trials = trials
        self._metric = metric
        self._with_baselines = with_baselines

    def next(self, history: History, ending: bool = False) -> Allocation:
        """What the next trial is for; with ``ending``, what ``closing`` says, if anything."""
        allocated = (ending and self.closing(history)) or self._next(history)
        if allocated.of and history.skipped_in_a_row >= _SKIPPED_FOR_A_CHOICE:
            return Allocation(None, {})  # the space is infeasible at the values chosen
        return allocated

    def _next(self, history: History) -> Allocation:
        tried = history.proposed
        if len(tried) < len(self._starts):
            return self._starts[len(tried)]
        last, left = self._last_baselines, self._trials - len(history.of_kind("search"))
        if 0 < left <= len(last):
            begun = _not_stopped(history)
            recipes = {name: self._with_the_best_recipe(name, begun) for name in last}
            if any(recipes.values()):
                return recipes[last[-left]] or self._plainly(last[-left])
        return Allocation(None, {}) if len(tried) % 2 else self._wanting(tried)

    @property
    def _last_baselines(self) -> list[str]:
        """The baselines, where there are trials for that beside the starting points."""
        return self._plain if self._trials >= len(self._starts) + len(self._plain) else []

    def _plainly(self, name: str) -> Allocation:
        """A baseline's trial. Optuna chooses the parameters that make a difference to it."""
        assert self.baselines is not None
        return Allocation(name, self.baselines.fixed(name))

    def closing(self, history: History) -> Allocation | None:
        """If the search ends now: a trial of a baseline, with the best weighted trial's recipe.

        None if each baseline has had that recipe or was tried twice without getting it, if no
        weighted trial has finished, or if too many points in a row were infeasible.
        """
        if history.skipped_in_a_row >= _SKIPPED_FOR_A_CHOICE:
            return None
        begun = _not_stopped(history)
        weighted = [place for place, one in enumerate(begun) if one.arm not in BASELINES]
        since = Counter(one.arm for one in begun[max(weighted, default=0) :])
        # The space may be unable to give a baseline that recipe. One trial does not show this: it
        # may have begun before the search was about to end. Two do.
        left = [name for name in self._plain if since[name] < _TRIED_AT_THE_END]
        recipes = (self._with_the_best_recipe(name, begun) for name in left)
        return next((one for one in recipes if one is not None), None)

    def _with_the_best_recipe(self, name: str, begun: list[Run]) -> Allocation | None:
        """None if no weighted trial has finished, or the baseline has had the best one's recipe."""
        assert self.baselines is not None
        weighted = [one for one in begun if one.status == "finished" and one.arm not in BASELINES]
        if not weighted:
            return None
        best = min(
            weighted,
            key=lambda run: (-self._metric.score(run.value(self._metric)), run.last("work_s")),
        )
        told = self.baselines.told(best.params, name)
        if any(run.arm == name and told.items() <= run.params.items() for run in begun):
            return None
        return Allocation(name, self.baselines.recipe_of(best.params, name))

    def _wanting(self, tried: list[Run | Skipped]) -> Allocation:
        """The arm that has been tried least, if any has not had its floor yet."""
        arms, plain = self._arms, self._plain
        floor = self._trials // (2 * (len(arms) + len(plain))) if arms or plain else 0
        runs = Counter(run.arm for run in tried if isinstance(run, Run))  # also those that failed
        points = [one.params for one in tried if isinstance(one, Skipped)]
        turns = {n: runs[n] + sum(agrees(p, values) for p in points) for n, values in arms.items()}
        # One that is hardly ever feasible is left after twice its floor.
        wanting = {n: turn for n, turn in turns.items() if runs[n] < floor and turn < 2 * floor}
        to_come = len(self._last_baselines) > 0
        wanting |= {name: runs[name] for name in plain if runs[name] + to_come < floor}
        if not wanting:
            return Allocation(None, {})
        name = min(wanting, key=wanting.__getitem__)
        if name in plain:
            return self._plainly(name)
        return Allocation(None, arms[name])

    def baseline_of(self, one: Run | Skipped) -> str | None:
        """Which baseline of ours it was a trial of, if any."""
        return one.arm if isinstance(one, Run) and one.arm in self._plain else None

    @cached_property
    def _arms(self) -> dict[str, dict[str, Any]]:
        """Arm -> what is to be suggested to come to it."""
        return settled(self._draws)

    @cached_property
    def _draws(self) -> list[Draw]:
        return draw(self._space)

    @cached_property
    def baselines(self) -> Baselines | None:
        """Those that are tried beside the space."""
        return Baselines(self._space, self._draws) if self._with_baselines else None

    @property
    def _plain(self) -> list[str]:
        return self.baselines.names if self.baselines else []

    @cached_property
    def _starts(self) -> list[Allocation]:
        """Those of divergences and baselines, alternating."""
        own = [Allocation(None, point) for point in starting_points(self._draws)]
        if self.baselines is None:
            return own
        plain = [Allocation(name, self.baselines.start(name)) for name in self._plain]
        pairs = zip_longest(own or [Allocation(None, {})], plain)
        return [one for pair in pairs for one in pair if one is not None]


def _not_stopped(history: History) -> list[Run]:
    """The search trials but those that the budget stopped: they tell nothing of their recipe."""
    return [run for run in history.of_kind("search") if run.status != "stopped"]
