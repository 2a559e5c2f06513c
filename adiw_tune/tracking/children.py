"""The child runs of one search: one MLflow run for each trial, found again by a tag.

Everything here may be sent twice. A run is looked up by its trial's id before it is created, and a
metric keeps the step and the time of its event, so MLflow's store recognises the second copy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from adiw_tune.metrics import ACCURACY
from adiw_tune.metrics import Metric as MainMetric
from adiw_tune.tracking.refusal import is_temporary
from adiw_tune.tracking.store import SEARCH_TAG, check_active
from adiw_tune.tracking.translate import (
    STATUSES,
    Event,
    best_metrics,
    end_tags,
    epoch_metrics,
    first_tags,
    milliseconds,
    parameters,
    run_name,
    setup_tags,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

Item = TypeVar("Item")

_METRICS_PER_CALL = 800  # MLflow takes 1,000 things, with the parameters and tags of the run


@dataclass
class _Child:
    """What is known of a trial's run: its parameters, and its metrics if all were sent from here.

    Args:
        run_id: MLflow's.
        params: names of those that it has. MLflow lets none be changed.
        metrics: None if an earlier process may have sent some.
        deleted: whether a user has deleted it, so that nothing more is written to it.
    """

    run_id: str
    params: set[str] = field(default_factory=set)
    metrics: list[Metric] | None = None
    deleted: bool = False


class TrialRuns:
    """The trials of one search as child runs of its parent run.

    Args:
        client: of the store.
        parent: where the runs belong; nothing is read or written yet.
        search_tags: tags that every child shares, by which a user filters one search.
        metric: what the search chooses by.
    """

    def __init__(
        self,
        client: MlflowClient,
        parent: Run,
        search_tags: Mapping[str, str],
        metric: MainMetric = ACCURACY,
    ) -> None:
        self._client = client
        self._parent = parent
        self._experiment_id: str = parent.info.experiment_id
        self._parent_run_id: str = parent.info.run_id
        self._search_tags = dict(search_tags)
        self._metric = metric
        self._children: dict[str, _Child] | None = None  # None: the store was not asked yet
        self._in_doubt = False  # whether the last batch failed, of which some may have arrived

    def record(self, events: Sequence[Event]) -> None:
        """Write a batch of events; on an error nothing is lost by sending the batch again.

        What a trial has in it goes in one call, as it is calls that a store can take only so many
        of. Events that are not about training a trial, such as `session`, are passed over.
        """
        of_trials: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event["event"] in ("trial", "setup", "epoch", "end"):
                of_trials[event["trial"]].append(event)
        try:
            for trial, of_trial in of_trials.items():
                self._write_unless_deleted(trial, of_trial)
        except Exception:
            self._in_doubt = True
            raise
        self._in_doubt = False

    def all(self) -> list[Run]:
        """Return the run of every trial, without those that are deleted or nested here by hand."""
        return [run for run in self._every() if not _is_deleted(run)]

    def find(self, trial: str) -> Run | None:
        """Return the run of a trial, also if it is deleted; None if it has none yet."""
        return next(self._every(f" AND tags.`adiw.trial` = '{trial}'"), None)

    def _every(self, which: str = "") -> Iterator[Run]:
        query = f"tags.`mlflow.parentRunId` = '{self._parent_run_id}'{which}"
        found = _found(self._client, self._experiment_id, query)
        return (run for run in found if "adiw.trial" in run.data.tags)

    def tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set all these tags of a run at once."""
        from mlflow.entities import RunTag

        self._client.log_batch(run_id, tags=[RunTag(*item) for item in tags.items()])

    def _child(self, trial: str, event: Event) -> _Child:
        """The run of a trial; it is created if there is none yet, where `event` is the first."""
        if self._children is None:
            self._children = {run.data.tags["adiw.trial"]: _known(run) for run in self._every()}
        if trial not in self._children:
            run = self.find(trial) if self._in_doubt else None
            self._children[trial] = _known(run) if run else self._created(trial, event)
        return self._children[trial]

    def _created(self, trial: str, event: Event) -> _Child:
        tags = {"mlflow.parentRunId": self._parent_run_id, **self._search_tags}
        begins = event if event["event"] == "trial" else {}
        tags |= first_tags(trial, begins)
        time = milliseconds(begins) if begins else None
        run = self._client.create_run(self._experiment_id, time, tags, run_name(trial, begins))
        return _Child(run.info.run_id, metrics=[])

    def _write_unless_deleted(self, trial: str, events: Sequence[Event]) -> None:
        from mlflow.exceptions import MlflowException

        child = self._child(trial, events[0])
        if child.deleted:
            return
        try:
            self._write(child, events)
        except MlflowException as error:
            if is_temporary(error):
                raise
            check_active(self._client, self._parent)  # with it all its trials may be deleted
            if not _is_deleted(self._client.get_run(child.run_id)):
                raise
            child.deleted = True

    def _write(self, child: _Child, events: Sequence[Event]) -> None:
        metrics = [metric for event in events for metric in epoch_metrics(event)]
        tags: dict[str, str] = {}
        end = None
        for event in events:
            if event["event"] == "setup":
                tags |= setup_tags(event)
            elif event["event"] == "end":
                end, tags = event, tags | end_tags(event)
        if end is not None:
            metrics += best_metrics([*self._sent(child), *metrics], end, self._metric)
        params = {k: v for k, v in parameters(events[0]).items() if k not in child.params}
        self._log(child.run_id, metrics, params, tags)
        child.params |= params.keys()
        if child.metrics is not None:
            child.metrics += metrics
        if end is not None:
            self._client.set_terminated(child.run_id, STATUSES[end["status"]], milliseconds(end))
            child.metrics = None  # they take memory, and are in the store if it is extended

    def _sent(self, child: _Child) -> Iterable[Metric]:
        """The metric and work of all epochs that the store has."""
        if child.metrics is not None:
            return child.metrics
        names = (self._metric.name, "work_s")
        histories = (self._client.get_metric_history(child.run_id, name) for name in names)
        return [point for history in histories for point in history]

    def _log(
        self,
        run_id: str,
        metrics: list[Metric],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Param, RunTag

        rest: dict[str, Any] = {
            "params": [Param(*item) for item in params.items()],
            "tags": [RunTag(*item) for item in tags.items()],
        }
        for part in _parts(metrics, _METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=part, **rest)
            rest = {}
        if rest.get("params") or rest.get("tags"):
            self._client.log_batch(run_id, **rest)


def adopt(client: MlflowClient, parent: Run, search_id: str) -> None:
    """Nest the runs of a search under its new parent, where `mlflow gc` has taken the one before.

    Otherwise every trial would be there twice.
    """
    query = f"tags.`{SEARCH_TAG}` = '{search_id}'"
    for run in _found(client, parent.info.experiment_id, query):
        if run.info.run_id != parent.info.run_id and not _is_deleted(run):
            client.set_tag(run.info.run_id, "mlflow.parentRunId", parent.info.run_id)


def _found(client: MlflowClient, experiment_id: str, query: str) -> Iterator[Run]:
    """All runs that there are, deleted ones too."""
    from mlflow.entities import ViewType

    page: Any = None
    while page is None or page.token:
        page = client.search_runs(
            [experiment_id],
            query,
            run_view_type=ViewType.ALL,
            max_results=1000,
            page_token=page.token if page is not None else None,
        )
        yield from page


def _is_deleted(run: Run) -> bool:
    return bool(run.info.lifecycle_stage == "deleted")


def _known(run: Run) -> _Child:
    return _Child(run.info.run_id, set(run.data.params), deleted=_is_deleted(run))


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
