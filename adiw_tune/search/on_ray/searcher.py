"""The programme of a search, as Ray Tune asks for it: one run after the other."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from adiw_tune.arms import BASELINES, arm
from adiw_tune.record.budget import Stage
from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run, end_cut_run
from adiw_tune.search.on_ray.shares import Machines, share_of
from adiw_tune.search.on_ray.trainable import run_kind
from adiw_tune.search.programme import Begin, Programme, Skip


class ProgrammeSearcher(Searcher):
    """Gives Tune the runs of a programme, and again those whose process was lost.

    Runs that an earlier session began and left come first. What is to come follows from the log
    alone, so Tune's own state is never read again.

    Args:
        programme: says what comes next.
        record: of the search, whose log tells when a run begins.
        machines: what trials run on.
    """

    def __init__(self, programme: Programme, record: SearchRecord, machines: Machines) -> None:
        super().__init__()
        self._programme = programme
        self._settings = record.settings
        self._machines = machines
        self._history = record.history()
        self._given: dict[str, str] = {}  # Tune's id of a trial -> the run that it is
        for run in self._history.unfinished:
            if run.rung == len(run.epochs):  # cut in the moment before a kill
                end_cut_run(self._history.log, run)
        self._waiting_since = -1  # position in the log at which there was nothing to begin

    def suggest(self, trial_id: str) -> Any:
        """The next run; None while there is none; Tune's word for the end when all is over."""
        history = self._history.refresh()
        if history.offset == self._waiting_since:
            return None
        given = set(self._given.values())
        left = next((run for run in history.unfinished if run.trial not in given), None)
        if left is not None:
            return self._give(trial_id, left)
        begin = None if self._unit_is_being_measured() else self._next_run()
        if begin is not None:
            history.log.append("trial", **asdict(begin))
            return self._give(trial_id, history.refresh().runs[begin.trial])
        if not history.unfinished:
            return Searcher.FINISHED
        self._waiting_since = history.offset
        return None

    def _next_run(self) -> Begin | None:
        """After the points that are to be skipped, which the log tells of."""
        history = self._history
        while isinstance(coming := self._programme.next(history), Skip):
            history.log.append("skipped", **asdict(coming))
            history.refresh()
        return coming

    def _unit_is_being_measured(self) -> bool:
        """Whether a run is about to measure a plain step, the unit that others are to count in."""
        starting = (run for run in self._history.unfinished if run.setup is None)
        return any(self._history.plain_s(run.config) is None for run in starting)

    def _give(self, trial_id: str, run: Run) -> dict[str, Any]:
        history = self._history
        self._given[trial_id] = run.trial
        share = share_of(run, history, self._settings, self._machines)
        place = {
            "trial": run.trial,
            "kind": run.kind,
            "attempt": run.losses,
            "checkpoints": run.checkpoints,
            "share": asdict(share),
        }
        known = {
            "plain_s": history.plain_s(run.config),
            "cost": history.cost(run),
            "speeds": history.speeds(),
            "yardstick": history.yardstick(),
        }
        return {"adiw": {**place, **known}, "config": run.config}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tune has done with it; the log has how it ended, or that it is to be given again."""
        self._given.pop(trial_id, None)
        self._waiting_since = -1

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the log has it."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class BudgetStopper(Stopper):
    """Stops a run after the epoch in which its stage's share of the budget runs out."""

    def __init__(self, programme: Programme, path: Path) -> None:
        self._programme = programme
        self._history = History(EventLog(path))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether to stop this run; epoch 0 is its set-up, with which nothing could be decided."""
        given = result["config"]
        stage: Stage = "baselines" if arm(given["config"]) in BASELINES else "search"
        if run_kind(given) != "search":
            stage = "finale"
        return result["epoch"] > 0 and self._programme.spent(self._history.refresh(), stage)

    def stop_all(self) -> bool:
        """Never all at once: the programme comes to its end by itself."""
        return False
