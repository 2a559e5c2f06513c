"""One training run of a search, as the events tell of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adiw_tune.record.log import Event, EventLog


@dataclass
class Run:
    """One training run of a search, as far as it has come. Fields as in :class:`EventLog`."""

    trial: str
    number: int
    kind: str
    of: str | None
    config: dict[str, Any]
    params: dict[str, Any]
    distributions: dict[str, str]
    status: str = "running"
    reason: str | None = None
    rung: int | None = None
    losses: int = 0  # how often its process or node was lost
    lost_in_a_row: int = 0  # without an epoch in between
    out_of_memory: int = 0  # how often it was
    lost_for: str | None = None  # the last reason for either
    session: int = 0  # in which it began
    setup: Event | None = None
    checkpoint: str | None = None
    ended_at: float | None = None
    epochs: list[Event] = field(default_factory=list)

    @property
    def arm(self) -> str:
        """What it is compared by."""
        return arm(self.config)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status != "running"

    def last(self, name: str) -> Any:
        """A number of the last epoch; None before the first."""
        return self.epochs[-1][name] if self.epochs else None

    def take(self, event: Event) -> None:
        """Take in what happened to it."""
        kind = event["event"]
        if kind == "setup":
            self.setup = event
        elif kind == "epoch":
            self.epochs.append(event)
            self.lost_in_a_row = 0
        elif kind == "checkpoint":
            self.checkpoint = event["path"]
        elif kind == "cut":
            self.rung = event["rung"]
        elif kind == "lost":
            self.losses += 1
            self.lost_for = event["reason"]
            self.lost_in_a_row += event["why"] == "process"
            self.out_of_memory += event["why"] == "memory"
        else:
            self.status, self.reason = event["status"], event["reason"]
            self.ended_at = event["time"]

    @property
    def accuracy_over_seed(self) -> float | None:
        """Of a rerun: its accuracy at the end, NaN if training diverged, else None."""
        if self.status == "finished":
            return float(self.last("accuracy"))
        diverged = self.status == "failed" and (self.reason or "").startswith("TrainingDiverged")
        return float("nan") if diverged else None


def end_run(log: EventLog, run: Run, status: str, reason: str | None) -> None:
    """Write down that ``run`` is over; its numbers are those of its last epoch."""
    numbers = {name: run.last(name) for name in ("accuracy", "work_s", "wall_s")}
    log.append("end", trial=run.trial, status=status, reason=reason, rung=run.rung, **numbers)


def end_cut_run(log: EventLog, run: Run) -> None:
    """The same of one that the scheduler cut."""
    reason = f"others of its divergence did better at epoch {run.rung}"
    end_run(log, run, "pruned", reason)


def arm(config: dict[str, Any]) -> str:
    """What trials are compared by: the divergence, or the method where that is not adiw.

    Of a user's own divergence, which is a path, it is the file's name.
    """
    method = config.get("method", "adiw")
    return Path(config["divergence"]).name if method == "adiw" else str(method)
