"""Which configuration to try next: Optuna's proposals, as a function of what has happened."""

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


@dataclass(frozen=True)
class Proposal:
    """A configuration, and what Optuna chose for it: parameters and their distributions."""

    config: dict[str, Any]
    params: dict[str, Any]
    distributions: dict[str, str]


class Proposer:
    """Optuna's TPE over accuracy (max) and work (min), without a state of its own.

    The study is made anew from the history for every proposal, and the sampler seeded by the
    proposal's number, so that a search that was killed goes on as it would have. A trial that was
    cut is pruned in Optuna's eyes, never complete at its short cost.

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

    def propose(self, history: History) -> Proposal:
        """The next point of the space, given the trials so far."""
        tried = history.of_kind("search")
        study = study_of(tried, self._sampler(tried))
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


def study_of(tried: list[Run], sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    """An Optuna study in memory that holds these trials, in their order."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
    for run in tried:
        study.add_trial(_frozen(run))
    return study


def _frozen(run: Run) -> FrozenTrial:
    finished = run.status == "finished"
    return optuna.trial.create_trial(
        state=_STATES[run.status],
        params=run.params,
        distributions={n: json_to_distribution(text) for n, text in run.distributions.items()},
        values=[run.last("accuracy"), run.last("work_s")] if finished else None,
    )
