"""The child runs of one search: one MLflow run for each trial, found again by a tag.

Everything here may be sent twice. A run is looked up by its trial's id before it is created, and a
metric keeps the step and the time of its event, so MLflow's store recognises the second copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adiw_tune.tracking.colours import look_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Event = Mapping[str, Any]
Item = TypeVar("Item")

METRICS = ("accuracy", "train_seconds", "loss")  # and share/<divergence>, where several are mixed
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
NOTE = "mlflow.note.content"  # the description on a run's overview, in Markdown
_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100


class TrialRuns:
    """The trials of one search as child runs of its parent run."""

    def __init__(self, client: MlflowClient, experiment_id: str, parent_run_id: str) -> None:
        """Take a client and the parent; nothing is read or written yet."""
        self._client = client
        self._experiment_id = experiment_id
        self._parent_run_id = parent_run_id
        self._run_ids: dict[str, str] = {}  # trial -> run, once all its parameters are there

    def record(self, events: Sequence[Event]) -> None:
        """Write a batch of events; on an error nothing is lost by sending the batch again."""
        for event in events:
            if event["event"] == "trial":
                self._run_id(event["trial"], event)
        for trial, metrics in _metrics_by_trial(events).items():
            for part in _parts(metrics, _METRICS_PER_CALL):
                self._client.log_batch(self._run_id(trial), metrics=part)
        for event in events:
            if event["event"] == "end":
                self._end(event)

    def all(self) -> list[Run]:
        """Return the run of every trial, without runs that a user nested here by hand."""
        found = self._found(f"tags.`mlflow.parentRunId` = '{self._parent_run_id}'")
        return [run for run in found if "adiw.trial" in run.data.tags]

    def _found(self, query: str) -> Iterator[Run]:
        page: Any = None
        while page is None or page.token:
            page = self._client.search_runs(
                [self._experiment_id],
                query,
                max_results=1000,
                page_token=page.token if page is not None else None,
            )
            yield from page

    def _run_id(self, trial: str, event: Event | None = None) -> str:
        if trial not in self._run_ids:
            run = self._find(trial) or self._create(trial, event or {})
            self._log_params(run, event or {})
            self._run_ids[trial] = run.info.run_id
        return self._run_ids[trial]

    def _find(self, trial: str) -> Run | None:
        query = f"tags.`adiw.trial` = '{trial}' AND "
        query += f"tags.`mlflow.parentRunId` = '{self._parent_run_id}'"
        return next(self._found(query), None)

    def _create(self, trial: str, event: Event) -> Run:
        label = _label(event.get("config", {}))
        time = _milliseconds(event)
        tags = {
            "mlflow.parentRunId": self._parent_run_id,
            "mlflow.runColor": look_of(label).colour,  # MLflow's charts use it for the run's points
            "adiw.trial": trial,
            "divergence": label,
            "front": "no",
        }
        name = f"{label}-{event['number']}" if "number" in event else trial
        return self._client.create_run(self._experiment_id, time, tags, name)

    def _log_params(self, run: Run, event: Event) -> None:
        from mlflow.entities import Param

        config = event.get("config", {})
        wanted = {**config, "divergence": _label(config)} if config else {}
        # A parameter cannot be changed in MLflow, and a run created before a crash may lack some.
        missing = [
            Param(key, str(value))
            for key, value in wanted.items()
            if value is not None and key not in run.data.params
        ]
        for part in _parts(missing, _PARAMS_PER_CALL):
            self._client.log_batch(run.info.run_id, params=part)

    def _end(self, event: Event) -> None:
        run_id = self._run_id(event["trial"])
        if reason := event.get("reason"):
            self._client.set_tag(run_id, "failure", str(reason)[:5000])
            self._client.set_tag(run_id, NOTE, f"Trial {event['status']}: {reason}"[:5000])
        status = STATUSES[event["status"]]
        self._client.set_terminated(run_id, status, _milliseconds(event))


def _label(config: Mapping[str, Any]) -> str:
    """Return the divergence; for a method that is compared with adiw, the method."""
    method = config.get("method", "adiw")
    return Path(config.get("divergence") or "trial").name if method == "adiw" else str(method)


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _milliseconds(event: Event) -> int | None:
    return int(event["time"] * 1000) if "time" in event else None


def _metrics_by_trial(events: Sequence[Event]) -> dict[str, list[Metric]]:
    from mlflow.entities import Metric

    metrics: dict[str, list[Metric]] = defaultdict(list)
    for event in events:
        if event["event"] == "epoch":
            time = int(event["time"] * 1000)
            metrics[event["trial"]] += [
                Metric(name, float(value), time, int(event["epoch"]))
                for name, value in _numbers(event).items()
                if value is not None
            ]
    return metrics


def _numbers(event: Event) -> dict[str, Any]:
    shares = event.get("shares", {})
    return {
        **{name: event.get(name) for name in METRICS},
        **{f"share/{divergence}": share for divergence, share in shares.items()},
    }
