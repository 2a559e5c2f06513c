"""What a search does next: a function of its history, so that a kill changes nothing.

Search trials come first, until their number or the budget is reached; the last are baselines with
the best recipe. Then the finale: the pick of each divergence and baseline again over paired seeds,
while the evidence leaves several in the race, or does not tell whether weighting is worth it; each
timed alone; and the winner trained again, to be kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import time
from typing import Any

from adiw_tune.decide import (
    MIN_SEEDS,
    contest,
    decide,
    finalists,
    hypervolume,
    parse_policy,
    race,
    worst_corner,
)
from adiw_tune.errors import UserError
from adiw_tune.record.budget import Stage
from adiw_tune.record.history import History
from adiw_tune.record.runs import Run
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.proposals import Infeasible, Proposer
from adiw_tune.search.rows import ranks_rows
from adiw_tune.search.space import SpaceFile

_FIRST_SEED = 1000  # above the search's own, so that a rerun is no repeat of a trial
_STILL = 1e-3  # relative growth of the hypervolume below which it stands still


@dataclass(frozen=True)
class Begin:
    """A run to begin; the fields of the event that tells of it."""

    trial: str
    number: int
    kind: str
    of: str | None
    config: dict[str, Any]
    params: dict[str, Any] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Skip:
    """A point that the space calls infeasible, to be told and passed over; fields of the event."""

    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    reason: str


class Programme:
    """What comes next, from what has been.

    Args:
        settings: the search's.
        proposer: of its trials.
    """

    def __init__(self, settings: SearchSettings, proposer: Proposer) -> None:
        self._settings = settings
        self._proposer = proposer
        self._metric = settings.main_metric
        self._policy = parse_policy(settings.policy, self._metric)
        self._budget = settings.spending

    def next(self, history: History) -> Begin | Skip | None:
        """The run to begin; None if there is none, for now or for good: see ``over``.

        A point to skip comes first, as often as the space calls what is proposed infeasible.

        Raises:
            UserError: that was so often in a row that no trial will begin.
        """
        if self._searching(history):
            return self._search_trial(history)
        if any(run.kind == "search" for run in history.unfinished):
            return None
        left = self._finale(history)
        return next((run for run in left if run.trial not in history.runs), None)

    def over(self, history: History) -> bool:
        """Whether nothing is left to do."""
        return not history.unfinished and self.next(history) is None

    def spent(self, history: History, stage: Stage) -> bool:
        """Whether a stage has spent its share of the budget."""
        if self._budget is None:
            return False
        return self._budget.left_s(history.spent_s(time()), stage) <= 0

    def _searching(self, history: History) -> bool:
        tried = len(history.of_kind("search"))
        if not tried and history.given_up:
            raise UserError(_nothing_feasible(history, self._proposer.space))
        if not tried:  # however little may be spent, it ends in a decision
            return True
        if history.given_up or history.in_finale or tried >= self._settings.trials:
            return False
        if not self._ending(history):
            return True
        return not self.spent(history, "baselines") and self._proposer.closing(history)

    def _ending(self, history: History) -> bool:
        """Whether the search is to end before its number of trials."""
        return self.spent(history, "search") or self._stands_still(history)

    def _stands_still(self, history: History) -> bool:
        patience = self._settings.patience
        if patience is None:
            return False
        finished = history.finished_in_order()
        if len(finished) - history.finished_when_extended <= patience:
            return False
        corner = worst_corner(finished, self._metric)
        now, before = (
            hypervolume(some, corner, self._metric) for some in (finished, finished[:-patience])
        )
        return now <= before * (1 + _STILL)

    def _search_trial(self, history: History) -> Begin | Skip:
        number = len(history.of_kind("search"))
        made = self._proposer.propose(history, self._ending(history))
        if isinstance(made, Infeasible):
            skipped = len(history.skipped) + 1
            return Skip(skipped, made.params, made.distributions, made.reason)
        return Begin(
            f"t{number}", number, "search", None, made.config, made.params, made.distributions
        )

    def _finale(self, history: History) -> Iterator[Begin]:
        """The runs of the finale without an end, of the stage that it is in."""
        picks = finalists(history.trials(), self._policy)
        if self.spent(history, "finale"):
            return
        racing = False
        for run in self._races(history, picks):
            racing = True
            yield run
        if not racing:
            yield from self._last_runs(history, picks)

    def _races(self, history: History, picks: list[str]) -> Iterator[Begin]:
        """Runs over seeds until it is decided which is best, and whether weighting is worth it."""
        reruns, arms = history.reruns(), {pick: history.runs[pick].arm for pick in picks}
        racing = race(reruns, picks, self._policy)
        contested = contest(reruns, picks, arms, self._metric)
        decided = len(picks) > 1 and len(racing) == 1
        # One that is left because others failed, too, is to have the seeds that an answer needs.
        least = min(MIN_SEEDS, self._settings.seeds)
        for seed in range(self._settings.seeds):
            raced = racing if seed < least or not decided else []
            wanted = [pick for pick in picks if pick in raced or pick in contested]
            lap = [self._over_seed(history.runs[pick], seed) for pick in wanted]
            if left := [run for run in lap if not _ended(history, run)]:
                yield from left
                return

    def _over_seed(self, run: Run, seed: int) -> Begin:
        # The search's seed and not the trial's, which a space may choose: seeds are to be paired.
        paired = self._settings.seed + _FIRST_SEED + seed
        changes = {"seed": paired, "fold": seed % run.config["folds"]}
        return Begin(
            f"{run.trial}-seed{seed}", run.number, "seed", run.trial, {**run.config, **changes}
        )

    def _last_runs(self, history: History, picks: list[str]) -> Iterator[Begin]:
        """Each finalist timed alone, one after the other; then the winner.

        Where that is a baseline, the best weighted finalist as well: its runs rank the rows.
        """
        alone = (_alone(history.runs[pick]) for pick in picks)
        if first := next((run for run in alone if not _ended(history, run)), None):
            yield first
            return
        try:
            won = decide(history.trials(), self._policy, history.reruns())
        except UserError:  # there is nothing that the policy allows
            return
        yield _again(history.runs[won.trial], "winner")
        weighted = won.weighted_trial
        if weighted not in (None, won.trial) and ranks_rows(history.runs[weighted].config):
            yield _again(history.runs[weighted], "rows")


def _nothing_feasible(history: History, space: SpaceFile) -> str:
    return (
        f"space() in '{space.path}' raised TrialPruned at {history.skipped_in_a_row} points in a "
        f"row, so that no trial could begin; the last: {history.skipped[-1].reason}"
    )


def _again(run: Run, kind: str) -> Begin:
    return Begin(f"{run.trial}-{kind}", run.number, kind, run.trial, run.as_far)


def _alone(run: Run) -> Begin:
    """Its warm-up epochs and two that weigh, of which the second stands for all further ones."""
    epochs = min(run.config["epochs"], run.config["warmup_epochs"] + 2)
    config = {**run.config, "epochs": epochs}
    return Begin(f"{run.trial}-retime", run.number, "retime", run.trial, config)


def _ended(history: History, begin: Begin) -> bool:
    return begin.trial in history.runs and history.runs[begin.trial].ended
