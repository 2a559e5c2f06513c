"""The child runs of one search: one MLflow run for each trial, found again by a tag.

Everything here may be sent twice. A run is looked up by its trial's id before it is created, and a
metric keeps the step and the time of its event, so MLflow's store recognises the second copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from adiw_tune.tracking.translate import (
    STATUSES,
    Event,
    best_metrics,
    end_tags,
    first_tags,
    metrics_by_trial,
    milliseconds,
    parameters,
    run_name,
    setup_tags,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Item = TypeVar("Item")

_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100


class TrialRuns:
    """The trials of one search as child runs of its parent run.

    Args:
        client: of the store.
        experiment_id, parent_run_id: where the runs belong; nothing is read or written yet.
        search_tags: tags that every child shares, by which a user filters one search.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment_id: str,
        parent_run_id: str,
        search_tags: Mapping[str, str],
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent_run_id = parent_run_id
        self._search_tags = dict(search_tags)
        self._run_ids: dict[str, str] = {}  # trial -> run, once all its parameters are there

    def record(self, events: Sequence[Event]) -> None:
        """Write a batch of events; on an error nothing is lost by sending the batch again.

        Events that are not about training a trial, such as `session`, are passed over.
        """
        for event in events:
            if event["event"] == "trial":
                self._run_id(event["trial"], event)
            elif event["event"] == "setup":
                self.tag(self._run_id(event["trial"]), setup_tags(event))
        for trial, metrics in metrics_by_trial(events).items():
            for part in _parts(metrics, _METRICS_PER_CALL):
                self._client.log_batch(self._run_id(trial), metrics=part)
        for event in events:
            if event["event"] == "end":
                self._end(event)

    def all(self) -> list[Run]:
        """Return the run of every trial, without runs that a user nested here by hand."""
        found = self._found(f"tags.`mlflow.parentRunId` = '{self._parent_run_id}'")
        return [run for run in found if "adiw.trial" in run.data.tags]

    def find(self, trial: str) -> Run | None:
        """Return the run of a trial, None if it has none yet."""
        query = f"tags.`adiw.trial` = '{trial}' AND "
        query += f"tags.`mlflow.parentRunId` = '{self._parent_run_id}'"
        return next(self._found(query), None)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set all these tags of a run at once."""
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(*item) for item in tags.items()])

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
            run = self.find(trial) or self._create(trial, event or {})
            self._log_params(run, event or {})
            self._run_ids[trial] = run.info.run_id
        return self._run_ids[trial]

    def _create(self, trial: str, event: Event) -> Run:
        tags = {"mlflow.parentRunId": self._parent_run_id, **self._search_tags}
        tags |= first_tags(trial, event)
        time = milliseconds(event) if "time" in event else None
        return self._client.create_run(self._experiment_id, time, tags, run_name(trial, event))

    def _log_params(self, run: Run, event: Event) -> None:
        from mlflow.entities import Param

        # A parameter cannot be changed in MLflow, and a run created before a crash may lack some.
        missing = [
            Param(key, value)
            for key, value in parameters(event).items()
            if key not in run.data.params
        ]
        for part in _parts(missing, _PARAMS_PER_CALL):
            self._client.log_batch(run.info.run_id, params=part)

    def _end(self, event: Event) -> None:
        run_id = self._run_id(event["trial"])
        self.tag(run_id, end_tags(event))
        # From the store: an earlier process may have sent the best epoch.
        accuracy, work_s = (
            self._client.get_metric_history(run_id, name) for name in ("accuracy", "work_s")
        )
        self._client.log_batch(run_id, metrics=best_metrics(accuracy, work_s, event))
        self._client.set_terminated(run_id, STATUSES[event["status"]], milliseconds(event))


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
