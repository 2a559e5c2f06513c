"""Ray Tune's view of a search, written down as events."""

import pickle
from pathlib import Path
from time import time
from typing import Any

from ray.exceptions import RayActorError
from ray.tune import Callback

from adiw_tune.search.record import EventLog


class EventCallback(Callback):
    """Appends to ``events.jsonl`` as trials begin, report and end.

    Ray pickles callbacks with the search, so this one holds a path and reads the log to learn what
    is already there: what a restored search repeats is not written twice.

    Events:
        {"event": "trial", "trial", "number", "config", "time"}
        {"event": "epoch", "trial", "epoch", "accuracy", "train_seconds", "loss", "shares", "time"}
        {"event": "end", "trial", "status", "reason", "accuracy", "train_seconds", "time"}

    ``status`` is finished, failed or stopped (before its last epoch). ``shares`` is a dict, empty
    unless the trial's divergence is auto. ``time`` is in seconds since 1970. An epoch that a
    restored trial runs again keeps its first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._load()

    def _load(self) -> None:
        self.log = EventLog(self.path)
        self.begun: list[str] = []
        self.epochs: set[tuple[str, int]] = set()
        self.ended: set[str] = set()
        for event in self.log:
            self._note(event)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state["path"]
        self._load()

    def _note(self, event: dict[str, Any]) -> None:
        if event["event"] == "trial":
            self.begun.append(event["trial"])
        elif event["event"] == "epoch":
            self.epochs.add((event["trial"], event["epoch"]))
        else:
            self.ended.add(event["trial"])

    def _append(self, event: str, trial: Any, **details: Any) -> None:
        record = {"event": event, "trial": trial.trial_id, **details, "time": time()}
        self.log.append(record)
        self._note(record)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial begins, or begins again after a restore."""
        if trial.trial_id not in self.begun:
            self._append("trial", trial, number=len(self.begun), config=trial.config)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial has run an epoch."""
        if "epoch" in result and (trial.trial_id, result["epoch"]) not in self.epochs:
            names = ("epoch", "accuracy", "train_seconds", "loss", "shares")
            self._append("epoch", trial, **{name: result[name] for name in names})

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial ended by itself, or was stopped."""
        result = trial.last_result
        ran_its_course = result.get("epoch") == trial.config["epochs"]
        self._end(trial, "finished" if ran_its_course else "stopped", None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial raised."""
        self._end(trial, "failed", _reason(trial))

    def _end(self, trial: Any, status: str, reason: str | None) -> None:
        if trial.trial_id in self.ended:
            return
        result = trial.last_result or {}
        self._append(
            "end",
            trial,
            status=status,
            reason=reason,
            accuracy=result.get("accuracy"),
            train_seconds=result.get("train_seconds"),
        )


def _reason(trial: Any) -> str:
    """What the trial raised, as one line."""
    path = trial.pickled_error_file  # on this machine: Ray copies it to the storage only later
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
    if error is None or isinstance(error, RayActorError):
        return "the trial's process ended unexpectedly"
    cause = getattr(error, "cause", None) or error
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0] if lines else 'no message'}"
