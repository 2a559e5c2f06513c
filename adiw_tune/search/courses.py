"""Trials that were recorded in full, read from the event log of a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adiw_tune.arms import arm
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.record.events import Event
from adiw_tune.record.log import EventLog


@dataclass(frozen=True)
class Course:
    """A trial as it was recorded: the metric after each epoch, and work in seconds until then."""

    trial: str
    divergence: str
    values: tuple[float, ...]
    work_s: tuple[float, ...]

    @property
    def epochs(self) -> int:
        """Of the full course."""
        return len(self.values)

    def seconds(self, epoch: int) -> float:
        """The work of one epoch, 1 for the first."""
        return self.work_s[epoch - 1] - (self.work_s[epoch - 2] if epoch > 1 else 0.0)


def read_courses(path: Path, metric: Metric = ACCURACY) -> list[Course]:
    """The finished search trials of an event log that was recorded without stopping.

    Args:
        path: of the log.
        metric: that the search chose by, or another that was recorded beside it.

    Raises:
        UserError: there are none, or some were cut, of which nobody knows how they would have gone;
            or an epoch has no value of the metric.
    """
    if not path.exists():
        raise UserError(f"no table '{path}': give the events.jsonl of a search")
    return _courses(list(EventLog(path)), path, metric)


def _courses(events: list[Event], path: Path, metric: Metric) -> list[Course]:
    configs = {
        event["trial"]: event["config"]
        for event in events
        if event["event"] == "trial" and event["kind"] == "search"
    }
    ends = {event["trial"]: event["status"] for event in events if event["event"] == "end"}
    cut = sum(ends.get(trial) == "pruned" for trial in configs)
    if cut:
        raise UserError(
            f"{cut} of the {len(configs)} trials in '{path}' were cut, and nobody knows how they "
            "would have gone on: replay a search that ran without early stopping"
        )
    reached: dict[str, list[tuple[Any, float]]] = {trial: [] for trial in configs}
    for event in events:
        if event["event"] == "epoch" and event["trial"] in configs:
            value = event["metrics"].get(metric.name)
            reached[event["trial"]].append((value, event["work_s"]))
    courses = [
        _course(trial, config, reached[trial], path, metric)
        for trial, config in configs.items()
        if ends.get(trial) == "finished"
    ]
    if not courses:
        raise UserError(f"no search trial of '{path}' has finished: there is nothing to replay")
    return courses


def _course(
    trial: str,
    config: Mapping[str, Any],
    reached: list[tuple[Any, float]],
    path: Path,
    metric: Metric,
) -> Course:
    if not reached:
        raise UserError(f"'{path}' is damaged: trial '{trial}' finished without an epoch")
    if any(value is None for value, _ in reached):
        raise UserError(f"'{path}' has no {metric.name} of some epochs of trial '{trial}'")
    try:
        return Course(trial, arm(config), *zip(*reached, strict=True))
    except KeyError as error:
        raise UserError(f"'{path}' is damaged: config of '{trial}' has no {error}") from None
