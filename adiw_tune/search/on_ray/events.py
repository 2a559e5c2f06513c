"""Ray Tune's view of a search, written down as events."""

import pickle
from pathlib import Path
from typing import Any

from ray.exceptions import RayActorError
from ray.tune import Callback

from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.runs import Run, end_cut_run, end_run
from adiw_tune.search.on_ray.trainable import run_id

_EPOCH = ("epoch", "accuracy", "work_s", "wall_s", "loss", "shares")
_SETUP = ("device", "splits", "plain_s", "ratio")


class EventCallback(Callback):
    """Appends to the log as runs report and end: setup, epoch, checkpoint and end.

    Ray pickles callbacks with the search, so this one holds a path. What a run that is gone on
    with repeats is not written twice: an epoch keeps its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.history = History(EventLog(path))

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _run(self, trial: Any) -> Run:
        return self.history.refresh().runs[run_id(trial.config)]

    def _append(self, event: str, run: Run, **details: Any) -> None:
        self.history.log.append(event, trial=run.trial, **details)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A run is set up (epoch 0), or has run an epoch."""
        run = self._run(trial)
        if result.get("epoch") == 0 and run.setup is None:
            self._append("setup", run, **{name: result[name] for name in _SETUP})
        elif result.get("epoch", 0) > len(run.epochs):
            self._append("epoch", run, **{name: result[name] for name in _EPOCH})

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        """A run's checkpoint is in the storage."""
        run = self._run(trial)
        self._append("checkpoint", run, epoch=len(run.epochs), path=checkpoint.path)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A run ended by itself, or was stopped."""
        run = self._run(trial)
        if run.ended:
            return
        if len(run.epochs) == run.config["epochs"]:
            end_run(self.history.log, run, "finished", None)
        elif run.rung is not None:
            end_cut_run(self.history.log, run)
        else:
            end_run(self.history.log, run, "stopped", "the budget was spent")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A run raised."""
        run = self._run(trial)
        if not run.ended:
            end_run(self.history.log, run, "failed", _reason(trial))


def _reason(trial: Any) -> str:
    """What the run raised, as one line."""
    path = trial.pickled_error_file  # on this machine: Ray copies it to the storage only later
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
    if error is None or isinstance(error, RayActorError):
        return "the trial's process ended unexpectedly"
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0] if lines else 'no message'}"
