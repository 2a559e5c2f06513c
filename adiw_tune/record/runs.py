"""One training run of a search, as the events tell of it."""

from dataclasses import dataclass, field
from typing import Any

from adiw_tune.arms import arm
from adiw_tune.metrics import Metric
from adiw_tune.record.events import DamagedError, Event, check_config
from adiw_tune.record.log import EventLog

CHECKPOINTS_KEPT = 2  # of a run: the one before is gone on from where the last is damaged

MOST_SKIPPED = 100  # infeasible points in a row, after which a search looks for no more


@dataclass
class Run:
    """One training run of a search, as far as it has come.

    Fields as in :mod:`adiw_tune.record.events`.
    """

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
    checkpoints: list[str] = field(default_factory=list)  # that are kept, the newest first
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

    @property
    def as_far(self) -> dict[str, Any]:
        """The configuration that trains as far as this run did: of a cut run, fewer epochs."""
        ran, planned = len(self.epochs), self.config["epochs"]
        if ran == planned:
            return self.config
        return {**self.config, "epochs": ran, "lr_epochs": self.config.get("lr_epochs") or planned}

    def last(self, name: str) -> Any:
        """A number of the last epoch; None before the first."""
        return self.epochs[-1][name] if self.epochs else None

    def take(self, event: Event) -> None:
        """Take in what happened to it.

        Raises:
            DamagedError: it cannot have, with this configuration or without any epoch.
        """
        kind = event["event"]
        if kind == "setup":
            self.setup = event
        elif kind == "epoch":
            if not self.epochs:
                check_config(self.config)
            self.epochs.append(event)
            self.lost_in_a_row = 0
        elif kind == "checkpoint":
            self.checkpoints = [event["path"], *self.checkpoints][:CHECKPOINTS_KEPT]
        elif kind == "cut":
            self.rung = event["rung"]
        elif kind == "lost":
            self.losses += 1
            self.lost_for = event["reason"]
            self.lost_in_a_row += event["why"] == "process"
            self.out_of_memory += event["why"] == "memory"
        elif event["status"] == "finished" and not self.epochs:
            raise DamagedError(f"trial '{self.trial}' finished without an epoch")
        else:
            self.status, self.reason = event["status"], event["reason"]
            self.ended_at = event["time"]

    def value(self, metric: Metric) -> Any:
        """Of the metric after the last epoch; None before the first, and where it has none."""
        return (self.last("metrics") or {}).get(metric.name)

    def value_over_seed(self, metric: Metric) -> Any:
        """Of a rerun: the metric at its end, NaN if training diverged, else None."""
        if self.status == "finished":
            return self.value(metric)
        diverged = self.status == "failed" and (self.reason or "").startswith("TrainingDiverged")
        return float("nan") if diverged else None


@dataclass(frozen=True)
class Skipped:
    """A point that the space calls infeasible: no run, but what is proposed next knows of it.

    Args:
        number: 1 for the first of the search.
        params, distributions: what was suggested before the space said so.
        reason: as the space gives it.
        ended_at: when, in seconds since 1970.
    """

    number: int
    params: dict[str, Any]
    distributions: dict[str, str]
    reason: str
    ended_at: float
    status: str = "infeasible"
    ended: bool = True

    @property
    def trial(self) -> str:
        """What no run is called."""
        return f"skipped-{self.number}"


def end_run(log: EventLog, run: Run, status: str, reason: str | None) -> None:
    """Write down that ``run`` is over; its numbers are those of its last epoch."""
    numbers = {name: run.last(name) for name in ("metrics", "work_s", "wall_s")}
    log.append("end", trial=run.trial, status=status, reason=reason, rung=run.rung, **numbers)


def end_whole_run(log: EventLog, run: Run, metric: Metric) -> None:
    """The same of one that ran all its epochs: it has failed if there is nothing to judge it by."""
    if run.value(metric) is None:
        end_run(log, run, "failed", f"{metric.name} has no value on its select rows at the end")
    else:
        end_run(log, run, "finished", None)


def end_cut_run(log: EventLog, run: Run) -> None:
    """The same of one that the scheduler cut."""
    reason = f"others of its divergence did better at epoch {run.rung}"
    end_run(log, run, "pruned", reason)
