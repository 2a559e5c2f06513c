"""Ray Tune's view of a search, written down as events."""

from typing import Any

from ray.tune import Callback

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run, end_cut_run, end_run, end_whole_run
from adiw_tune.search.on_ray.errors import (
    error_of,
    is_lost,
    is_out_of_memory,
    is_storage_full,
    reason_of,
)
from adiw_tune.search.on_ray.shares import Machines, may_grow
from adiw_tune.search.on_ray.trainable import run_id

_EPOCH = ("epoch", "metrics", "work_s", "wall_s", "loss", "shares", "unweighed")
_SETUP = (
    "device",
    "splits",
    "plain_s",
    "ratio",
    "warm_up_ratio",
    "speed",
    "extra_speed",
    "memory_bytes",
    "device_bytes",
    "context_bytes",
    "host",
    "versions",
)
_LOSSES_IN_A_ROW = 3  # after which a run is no victim of its machines, but kills its process


class EventCallback(Callback):
    """Appends to the log as runs report and end: setup, epoch, checkpoint, lost and end.

    Ray pickles callbacks with the search, so this one holds what the record is made from. What a
    run that is gone on with repeats is not written twice: an epoch keeps its first line.

    Args:
        record: of the search.
        machines: what trials run on.
    """

    def __init__(self, record: SearchRecord, machines: Machines) -> None:
        self.record = record
        self.machines = machines
        self.history = record.history()

    def __getstate__(self) -> dict[str, Any]:
        return {"record": self.record, "machines": self.machines}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

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
        if "checkpoint_path" in result:  # of a trial of several workers, which Tune does not keep
            self._checkpointed(trial, result["checkpoint_path"])

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        """A run's checkpoint is in the storage."""
        self._checkpointed(trial, checkpoint.path)

    def _checkpointed(self, trial: Any, path: str) -> None:
        run, kept = self._run(trial), self.record.checkpoints.relative(path)
        self._append("checkpoint", run, epoch=len(run.epochs), path=kept)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A run ended by itself, or was stopped."""
        run = self._run(trial)
        if run.ended:
            return
        if len(run.epochs) == run.config["epochs"]:
            end_whole_run(self.history.log, run, self.record.settings.main_metric)
        elif run.rung is not None:
            end_cut_run(self.history.log, run)
        else:
            end_run(self.history.log, run, "stopped", "the budget was spent")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A run raised, or its process or node is gone.

        Raises:
            UserError: the storage is full, of which every run would die; this one is left as it is.
        """
        run, error = self._run(trial), error_of(trial)
        if run.ended:
            return
        if is_storage_full(error):
            raise UserError(
                f"no space is left in '{self.record.checkpoints.root}', what was recorded is kept: "
                f"make room, then {self.record.resume_command()}"
            )
        if is_out_of_memory(error):
            self._end_or_give_more(run, reason_of(error))
        elif is_lost(error) and run.lost_in_a_row + 1 < _LOSSES_IN_A_ROW:
            self._append("lost", run, why="process", reason=reason_of(error))
        else:
            end_run(self.history.log, run, "failed", reason_of(error))

    def _end_or_give_more(self, run: Run, reason: str) -> None:
        if may_grow(run, self.history, self.record.settings, self.machines):
            self._append("lost", run, why="memory", reason=reason)
        else:
            end_run(self.history.log, run, "infeasible", f"out of memory: {reason}")
