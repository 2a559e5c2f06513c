"""The programme of a search, as Ray Tune asks for it: one run after the other."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.runs import Run, end_cut_run
from adiw_tune.search.on_ray.trainable import run_kind
from adiw_tune.search.programme import Programme


class ProgrammeSearcher(Searcher):
    """Gives Tune the runs of a programme. First those that an earlier session began and left.

    What is to come follows from the log alone, so Tune's own state is never read again.

    Args:
        programme: says what comes next.
        path: of the log, which tells when a run begins.
    """

    def __init__(self, programme: Programme, path: Path) -> None:
        super().__init__()
        self._programme = programme
        self._history = History(EventLog(path))
        for run in self._history.unfinished:
            if run.rung == len(run.epochs):  # cut in the moment before a kill
                end_cut_run(self._history.log, run)
        self._left = self._history.refresh().unfinished
        self._waiting_since = -1  # position in the log at which there was nothing to begin

    def suggest(self, trial_id: str) -> Any:
        """The next run; None while there is none; Tune's word for the end when all is over."""
        if self._left:
            return self._suggestion(self._left.pop(0))
        history = self._history.refresh()
        if history.offset == self._waiting_since or self._unit_is_being_measured(history):
            return None
        begin = self._programme.next(history)
        if begin is not None:
            history.log.append("trial", **asdict(begin))
            return self._suggestion(history.refresh().runs[begin.trial])
        if not history.unfinished:
            return Searcher.FINISHED
        self._waiting_since = history.offset
        return None

    def _unit_is_being_measured(self, history: History) -> bool:
        """Whether a run is about to measure a plain step, the unit that others are to count in."""
        starting = (run for run in history.unfinished if run.setup is None)
        return any(not history.plain_s(run.config) for run in starting)

    def _suggestion(self, run: Run) -> dict[str, Any]:
        known = {"plain_s": self._history.plain_s(run.config), "ratio": self._history.ratio(run)}
        place = {"trial": run.trial, "kind": run.kind, "checkpoint": run.checkpoint}
        return {"adiw": {**place, **known}, "config": run.config}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to do: the log has it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the log has it."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class BudgetStopper(Stopper):
    """Stops a run after the epoch in which the budget was spent."""

    def __init__(self, programme: Programme, path: Path) -> None:
        self._programme = programme
        self._history = History(EventLog(path))

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether to stop this run; epoch 0 is its set-up, with which nothing could be decided."""
        return result["epoch"] > 0 and self._programme.spent(
            self._history.refresh(), run_kind(result["config"])
        )

    def stop_all(self) -> bool:
        """Never all at once: the programme comes to its end by itself."""
        return False
