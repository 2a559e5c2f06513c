"""Which configuration to try next: Optuna's proposals, as a function of what has happened."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, distribution_to_json, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.record.history import History
from adiw_tune.record.runs import Run, Skipped
from adiw_tune.search.allocation import TrialAllocation
from adiw_tune.search.sampler import FixingSampler, within
from adiw_tune.search.space import SpaceFile, plain

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


@dataclass(frozen=True)
class Infeasible:
    """A point of which the space raised TrialPruned: what had been suggested, and the reason."""

    params: dict[str, Any]
    distributions: dict[str, str]
    reason: str


class Proposer:
    """Optuna's TPE over the metric and work (min): what it proposes follows from the history.

    The sampler is made anew for every proposal, seeded by its number, and the study holds what the
    history does, so that a search that was killed goes on as it would have. A trial that was cut is
    pruned in Optuna's eyes, never complete at its short cost; so is a point that the space calls
    infeasible.

    :class:`TrialAllocation` says which values are chosen beforehand. Each baseline has a study of
    its own, of what makes a difference to it.

    Args:
        space: what to propose from.
        seed: of the sampler.
        trials: how many will be proposed in all.
        metric: that the search chooses by.
        baselines: whether plain training is tried, too.
    """

    def __init__(
        self,
        space: SpaceFile,
        seed: int,
        trials: int,
        metric: Metric = ACCURACY,
        baselines: bool = False,
    ) -> None:
        self.space = space
        self._seed = seed
        self._metric = metric
        self._allocation = TrialAllocation(space, trials, metric, baselines)
        self._mirror = _Mirror(metric)

    def closing(self, history: History) -> bool:
        """Whether trials of baselines are wanting, if the search ends now."""
        return self._allocation.closing(history) is not None

    def propose(self, history: History, ending: bool = False) -> Proposal | Infeasible:
        """The next point of the space, given those so far.

        Args:
            history: of the search.
            ending: whether it is about to end, so that trials which are ``closing`` come first.
        """
        tried, baseline_of = history.proposed, self._allocation.baseline_of
        allocated = self._allocation.next(history, ending)
        alike = looked_at([one for one in tried if baseline_of(one) == allocated.of], self._metric)
        study = study_of(alike, self._metric) if allocated.of else self._mirror.showing(alike)
        study.sampler = self._sampler(len(tried), allocated.chosen)
        trial = study.ask()
        try:
            config = self.space(trial)
        except optuna.TrialPruned as error:
            return Infeasible(*_suggested(trial), " ".join(str(error).split()) or "TrialPruned")
        baselines = self._allocation.baselines
        if allocated.of is None or baselines is None:
            return Proposal(config, *_suggested(trial))
        config = baselines.config(allocated.of, config, trial)
        return Proposal(config, *(baselines.told(some, allocated.of) for some in _suggested(trial)))

    def _sampler(self, tried: int, chosen: dict[str, Any]) -> optuna.samplers.BaseSampler:
        # 32 bits, and apart for neighbouring seeds of a user's.
        seed = (self._seed * 1_000_003 + tried) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return FixingSampler(chosen, sampler)


def _suggested(trial: optuna.Trial) -> tuple[dict[str, Any], dict[str, str]]:
    """Parameters and distributions, as a record holds them."""
    params = {name: plain(value) for name, value in trial.params.items()}
    return params, {name: _as_json(one) for name, one in trial.distributions.items()}


def _as_json(distribution: optuna.distributions.BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        distribution = CategoricalDistribution([plain(choice) for choice in distribution.choices])
    return distribution_to_json(distribution)


def looked_at(tried: list[Run | Skipped], metric: Metric = ACCURACY) -> list[Run | Skipped]:
    """The points that TPE is to see, in their order; another choice after every 250 that end."""
    ended = sorted((one for one in tried if one.ended), key=lambda one: one.ended_at or 0.0)
    before = ended[: max(0, len(ended) - _LOOKED_AT) // _LEFT_OUT_AT_ONCE * _LEFT_OUT_AT_ONCE]
    left_out = {one.trial for one in before} - _front(before, metric)
    return [one for one in tried if one.trial not in left_out]


def _front(points: list[Run | Skipped], metric: Metric) -> set[str]:
    """Ids of the finished ones that none is better than in both."""
    finished = [run for run in points if isinstance(run, Run) and run.status == "finished"]
    finished.sort(key=lambda run: (run.last("work_s"), -metric.score(run.value(metric))))
    front, best = set(), -math.inf
    for run in finished:
        if (score := metric.score(run.value(metric))) > best:
            front.add(run.trial)
            best = score
    return front


class _Mirror:
    """An Optuna study kept equal to a search's trials. To make it anew takes longer with each."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._study = study_of([], metric)

    def showing(self, tried: list[Run | Skipped]) -> optuna.Study:
        """The study of these points: what has changed since the last time is told to it.

        The point that it was asked for last is the next of them, or it is made anew after all.
        """
        if not self._goes_on(tried):
            self._study = study_of(tried, self._metric)
        shown = self._study.get_trials(deepcopy=False)
        for trial, run in zip(shown, tried, strict=False):
            if run.ended and not trial.state.is_finished():
                values = _values(run, self._metric)
                self._study.tell(trial.number, values, state=_STATES[run.status])
        for run in tried[len(shown) :]:
            self._study.add_trial(_frozen(run, self._metric))
        return self._study

    def _goes_on(self, tried: list[Run | Skipped]) -> bool:
        """Whether these are the points that the study has, further on, and maybe more."""
        shown = self._study.get_trials(deepcopy=False)
        return len(shown) <= len(tried) and all(
            (trial.params == run.params or trial.params == _params(run))
            and trial.state in (TrialState.RUNNING, _STATES[run.status])
            for trial, run in zip(shown, tried, strict=False)
        )


def study_of(tried: Sequence[Run | Skipped], metric: Metric = ACCURACY) -> optuna.Study:
    """An Optuna study in memory that holds these points, in their order: metric, and work."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    up = StudyDirection.MAXIMIZE if metric.greater_is_better else StudyDirection.MINIMIZE
    study = optuna.create_study(directions=[up, StudyDirection.MINIMIZE])
    for run in tried:
        study.add_trial(_frozen(run, metric))
    return study


def _frozen(run: Run | Skipped, metric: Metric) -> FrozenTrial:
    params, ranges = _params(run), _ranges(run)
    return optuna.trial.create_trial(
        state=_STATES[run.status],
        params=params,
        distributions={name: ranges[name] for name in params},
        values=_values(run, metric),
    )


def _params(run: Run | Skipped) -> dict[str, Any]:
    """What was suggested, as its ranges have it: earlier versions began outside of them."""
    ranges = _ranges(run)
    found = {n: within(one, run.params[n]) for n, one in ranges.items() if n in run.params}
    return {name: value[0] for name, value in found.items() if value is not None}


def _ranges(run: Run | Skipped) -> dict[str, optuna.distributions.BaseDistribution]:
    return {name: _range(run, name) for name in run.distributions}


def _range(run: Run | Skipped, name: str) -> optuna.distributions.BaseDistribution:
    text = run.distributions[name]
    try:
        return json_to_distribution(text)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"events.jsonl is damaged: run {run.trial} has no distribution of Optuna's for "
            f"'{name}', but {text!r:.100}"
        ) from error


def _values(run: Run | Skipped, metric: Metric) -> list[float] | None:
    if isinstance(run, Run) and run.status == "finished":
        return [run.value(metric), run.last("work_s")]
    return None
