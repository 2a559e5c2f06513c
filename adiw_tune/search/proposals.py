"""Which configuration to try next: Optuna's proposals, as a function of what has happened."""

import math
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from adiw_tune.record.history import History
from adiw_tune.record.runs import Run
from adiw_tune.search.space import SpaceFile

DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # accuracy, work
_STATES = {
    "running": TrialState.RUNNING,
    "finished": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "stopped": TrialState.PRUNED,
    "infeasible": TrialState.PRUNED,
    "failed": TrialState.PRUNED,  # TPE forgets those that FAIL, and proposes them again and again
}

# TPE's time grows with the trials that it looks at. Of these the best 25 count as good, however
# many there are; the rest tell it what is common, for which some hundreds are enough.
_LOOKED_AT = 500
_LEFT_OUT_AT_ONCE = 250


@dataclass(frozen=True)
class Proposal:
    """A configuration, and what Optuna chose for it: parameters and their distributions."""

    config: dict[str, Any]
    params: dict[str, Any]
    distributions: dict[str, str]


class Proposer:
    """Optuna's TPE over accuracy (max) and work (min): what it proposes follows from the history.

    The sampler is made anew for every proposal, seeded by its number, and the study holds what the
    history does, so that a search that was killed goes on as it would have. A trial that was cut is
    pruned in Optuna's eyes, never complete at its short cost.

    The first proposals are the space's starting points, each divergence by its defaults. After them
    every other proposal goes to the divergence tried least, until each has had its floor: half of
    its even share of the trials. So none loses for want of being tried. Of a space without a choice
    of divergence the same goes for its methods.

    Args:
        space: what to propose from.
        seed: of the sampler.
        trials: how many will be proposed in all.
    """

    def __init__(self, space: SpaceFile, seed: int, trials: int) -> None:
        self._space = space
        self._seed = seed
        self._starting_points = space.starting_points()
        self._floor = trials // (2 * max(1, len(self._starting_points)))
        of_divergence = any("divergence" in point for point in self._starting_points)
        self._choice = "divergence" if of_divergence else "method"
        self._mirror = _Mirror()

    def propose(self, history: History) -> Proposal:
        """The next point of the space, given the trials so far."""
        tried = history.of_kind("search")
        study = self._mirror.showing(looked_at(tried))
        study.sampler = self._sampler(tried)
        if len(tried) < len(self._starting_points):
            study.enqueue_trial(self._starting_points[len(tried)])
        trial = study.ask()
        config = self._space(trial)
        distributions = {n: distribution_to_json(d) for n, d in trial.distributions.items()}
        return Proposal(config, trial.params, distributions)

    def _sampler(self, tried: list[Run]) -> optuna.samplers.BaseSampler:
        # 32 bits, and apart for neighbouring seeds of a user's.
        seed = (self._seed * 1_000_003 + len(tried)) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            due = self._due(tried)
            if due is None:
                return sampler
            return optuna.samplers.PartialFixedSampler({self._choice: due}, sampler)

    def _due(self, tried: list[Run]) -> str | None:
        """The divergence or method whose turn it is for want of trials, if any."""
        counts = Counter(run.params.get(self._choice) for run in tried)  # also of what failed
        choices = [point[self._choice] for point in self._starting_points]
        if len(tried) < len(choices) or len(tried) % 2 or not choices:
            return None
        least = min(choices, key=lambda choice: counts[choice])
        return str(least) if counts[least] < self._floor else None


def looked_at(tried: list[Run]) -> list[Run]:
    """The trials that TPE is to see, in their order; another choice after every 250 that end."""
    ended = sorted((run for run in tried if run.ended), key=lambda run: run.ended_at or 0.0)
    before = ended[: max(0, len(ended) - _LOOKED_AT) // _LEFT_OUT_AT_ONCE * _LEFT_OUT_AT_ONCE]
    left_out = {run.trial for run in before} - _front(before)
    return [run for run in tried if run.trial not in left_out]


def _front(runs: list[Run]) -> set[str]:
    """Ids of the finished ones that none is better than in both."""
    finished = [run for run in runs if run.status == "finished"]
    finished.sort(key=lambda run: (run.last("work_s"), -run.last("accuracy")))
    front, best = set(), -math.inf
    for run in finished:
        if run.last("accuracy") > best:
            front.add(run.trial)
            best = run.last("accuracy")
    return front


class _Mirror:
    """An Optuna study kept equal to a search's trials. To make it anew takes longer with each."""

    def __init__(self) -> None:
        self._study = study_of([])

    def showing(self, tried: list[Run]) -> optuna.Study:
        """The study of these trials: what has changed since the last time is told to it.

        The point that it was asked for last is the next of them, or it is made anew after all.
        """
        if not self._goes_on(tried):
            self._study = study_of(tried)
        shown = self._study.get_trials(deepcopy=False)
        for trial, run in zip(shown, tried, strict=False):
            if run.ended and not trial.state.is_finished():
                self._study.tell(trial.number, _values(run), state=_STATES[run.status])
        for run in tried[len(shown) :]:
            self._study.add_trial(_frozen(run))
        return self._study

    def _goes_on(self, tried: list[Run]) -> bool:
        """Whether these are the trials that the study has, further on, and maybe more."""
        shown = self._study.get_trials(deepcopy=False)
        return len(shown) <= len(tried) and all(
            trial.params == run.params and trial.state in (TrialState.RUNNING, _STATES[run.status])
            for trial, run in zip(shown, tried, strict=False)
        )


def study_of(tried: list[Run]) -> optuna.Study:
    """An Optuna study in memory that holds these trials, in their order."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=DIRECTIONS)
    for run in tried:
        study.add_trial(_frozen(run))
    return study


def _frozen(run: Run) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=_STATES[run.status],
        params=run.params,
        distributions={n: json_to_distribution(text) for n, text in run.distributions.items()},
        values=_values(run),
    )


def _values(run: Run) -> list[float] | None:
    return [run.last("accuracy"), run.last("work_s")] if run.status == "finished" else None
