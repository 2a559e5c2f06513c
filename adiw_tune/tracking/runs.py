"""One search in MLflow: a parent run, a child run for each trial, and the decision."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY
from adiw_tune.metrics import Metric as MainMetric
from adiw_tune.tracking.artifacts import write_artifacts
from adiw_tune.tracking.children import TrialRuns, adopt
from adiw_tune.tracking.description import describe
from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.parent import parent_numbers, parent_tags
from adiw_tune.tracking.refusal import is_temporary
from adiw_tune.tracking.registry import register_model
from adiw_tune.tracking.rows_page import FILE as ROWS_PAGE
from adiw_tune.tracking.store import (
    PARENT,
    SEARCH_TAG,
    check_active,
    check_run,
    client_of,
    find_experiment,
    find_parent,
    log_parameters,
    the_experiment,
)
from adiw_tune.tracking.translate import NOTE, Event, milliseconds
from adiw_tune.tracking.view import (
    artifact_address,
    front_view_key,
    picture_address,
    save_front_view,
    save_view,
    view_key,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


class SearchRuns:
    """The parent run of a search and its children, in one MLflow store.

    Get one from `open`, which creates the parent, or `find`, which does not. Every method may be
    called again with the same arguments and changes nothing the second time.
    """

    def __init__(self, client: MlflowClient, parent: Run, metric: MainMetric = ACCURACY) -> None:
        """Wrap an existing parent run of a search that chooses by ``metric``."""
        self._client = client
        self._parent = parent
        self.name: str = str(parent.info.run_name)
        self.experiment_id: str = parent.info.experiment_id
        self.parent_run_id: str = parent.info.run_id
        self.view_key: str = view_key(self.parent_run_id)
        self.front_view_key: str = front_view_key(self.parent_run_id)
        tags = {"search": self.name, SEARCH_TAG: parent.data.tags[SEARCH_TAG]}
        self._metric = metric
        self._children = TrialRuns(client, parent, tags, metric)

    @classmethod
    def open(
        cls,
        uri: str,
        search_name: str,
        parameters: Mapping[str, Any],
        search_id: str,
        metric: MainMetric = ACCURACY,
    ) -> Self:
        """Return the search's runs, with the parent RUNNING; it is created if there is none yet.

        Args:
            uri: the tracking store, already checked by `check_tracking_uri`.
            search_name: the parent run's name.
            parameters: what the search was started with; they become the parent's parameters. One
                that differs when a search is resumed is kept in the tag `resumed.<name>`.
            search_id: what a resumed search is recognised by; letters, digits, `-` and `_`.
            metric: what the search chooses by.

        Raises:
            RefusedError: the parent or the experiment is deleted.
        """
        client = client_of(uri)
        experiment_id = the_experiment(client)
        parent = find_parent(client, experiment_id, search_id)
        if parent is None:
            tags = {SEARCH_TAG: search_id, "search": search_name, "kind": PARENT}
            parent = client.create_run(experiment_id, tags=tags, run_name=search_name)
            adopt(client, parent, search_id)
            # Already here, so that the page can be watched while the search runs.
            cls(client, parent, metric)._save_views(["divergence"])
        elif parent.info.status != "RUNNING":
            client.update_run(parent.info.run_id, status="RUNNING")
        log_parameters(client, parent, parameters)
        return cls(client, parent, metric)

    @classmethod
    def find(cls, uri: str, search_id: str) -> Self | None:
        """Return the runs of a search that was recorded here, None if there are none.

        Raises:
            RefusedError: the parent or the experiment is deleted.
        """
        client = client_of(uri)
        experiment_id = find_experiment(client)
        parent = experiment_id and find_parent(client, experiment_id, search_id)
        return cls(client, parent) if parent else None

    def record(self, events: Sequence[Event]) -> None:
        """Write a batch of the search's events; sending one again adds nothing.

        A reading of the test split is the parent's `test_accuracy`, and so on for each metric; its
        `points_skipped` counts the points that the space called infeasible. Events of a trial whose
        run was deleted, by somebody who does not want to see it, are passed over.

        Raises:
            RefusedError: the parent or the experiment was deleted.
        """
        from mlflow.exceptions import MlflowException

        try:
            self._record(events)
        except MlflowException as error:
            if not is_temporary(error):
                check_active(self._client, self._parent)
            raise

    def _record(self, events: Sequence[Event]) -> None:
        self._children.record(events)
        for event in events:
            if event["event"] == "test_read":
                self._log_reading(event)
        if skipped := [event for event in events if event["event"] == "skipped"]:
            number, time_ms = skipped[-1]["number"], milliseconds(skipped[-1])
            self._client.log_metric(
                self.parent_run_id, "points_skipped", float(number), time_ms, number
            )

    def _log_reading(self, event: Event) -> None:
        from mlflow.entities import Metric

        known = ((name, value) for name, value in event["metrics"].items() if value is not None)
        time_ms = milliseconds(event)
        metrics = [Metric(f"test_{name}", float(value), time_ms, 0) for name, value in known]
        self._client.log_batch(self.parent_run_id, metrics=metrics)

    def log_hypervolume(self, values: Sequence[float]) -> None:
        """Write the front's hypervolume after 1, 2, ... finished trials; known steps are kept."""
        from mlflow.entities import Metric

        history = self._client.get_metric_history(self.parent_run_id, "hypervolume")
        known = {point.step for point in history}
        now = int(time.time() * 1000)
        new = [
            Metric("hypervolume", float(value), now, step)
            for step, value in enumerate(values, start=1)
            if step not in known
        ]
        for start in range(0, len(new), 1000):  # MLflow's limit
            self._client.log_batch(self.parent_run_id, metrics=new[start : start + 1000])

    def finish(self, outcome: Outcome) -> None:
        """Write the decision to the parent run and end every run of the search."""
        children = self._mark_children(outcome)
        with TemporaryDirectory(prefix="adiw-outcome-") as folder:
            write_artifacts(self.name, outcome, Path(folder))
            self._client.log_artifacts(self.parent_run_id, folder)
        self.log_hypervolume(outcome.hypervolume)
        self._log_numbers(outcome)
        picture = picture_address(self.parent_run_id, "front.png")
        rows = artifact_address(self.experiment_id, self.parent_run_id, ROWS_PAGE)
        note = describe(outcome, picture, rows)
        self._children.tag(self.parent_run_id, {NOTE: note, **parent_tags(outcome)})
        self._save_views(_common_parameters(children))
        nothing = outcome.decision is None and outcome.status == "FINISHED"
        self._client.set_terminated(self.parent_run_id, "FAILED" if nothing else outcome.status)

    def register(
        self, trial: str, network: Any, rows: np.ndarray | None, name: str, alias: str
    ) -> str:
        """Save a trained network with its trial's run, register it, and return the version.

        Args:
            trial: the one trained, which was recorded; its run gets one version, however often
                this is called.
            network: a torch module; a copy of it on the CPU, in eval mode, is saved.
            rows: inputs as the network takes them, [n, ...]; only their shape and dtype are kept.
                None where they are several arrays.
            name: of the registered model, such as `model_name(search)`; without `/` and `:`.
            alias: what the version is then called, such as `champion`: the model is loaded by
                `mlflow.pytorch.load_model("models:/NAME@ALIAS")`.
        """
        run = self._children.find(trial)
        if run is None:
            raise UserError(f"trial '{trial}' is not in MLflow yet, so no model can be registered")
        check_run(self._client, run, f"the run of trial '{trial}'")
        return register_model(self._client, run, network, rows, name, alias)

    def delete(self) -> None:
        """Take back a search of which no trial ran; nothing in MLflow tells of it then."""
        for run in self._children.all():
            self._client.delete_run(run.info.run_id)
        self._client.delete_run(self.parent_run_id)

    def interrupt(self) -> None:
        """Mark the search, and trials still running, as KILLED until it is resumed."""
        for run in self._children.all():
            self._end_if_running(run)
        self._client.set_terminated(self.parent_run_id, "KILLED")

    def _mark_children(self, outcome: Outcome) -> list[Run]:
        """Tag each child with its place and end those still running; return the search trials."""
        front = set(outcome.front["trial"].astype(str))
        children = self._children.all()
        for run in children:
            tags, trial = run.data.tags, run.data.tags["adiw.trial"]
            wanted = {"front": "yes" if trial in front else "no"}
            if trial == outcome.best or "best" in tags:  # an extended search may have a new winner
                wanted["best"] = "yes" if trial == outcome.best else "no"
            if changed := {key: wanted[key] for key in wanted if tags.get(key) != wanted[key]}:
                self._children.tag(run.info.run_id, changed)
            self._end_if_running(run)
        return [run for run in children if run.data.tags.get("kind") == "search"]

    def _end_if_running(self, run: Run) -> None:
        if run.info.status == "RUNNING":
            self._client.set_terminated(run.info.run_id, "KILLED")

    def _log_numbers(self, outcome: Outcome) -> None:
        numbers = parent_numbers(outcome)
        known = self._client.get_run(self.parent_run_id).data.metrics
        now = int(time.time() * 1000)
        for key, value in numbers.items():
            if known.get(key) != value:  # an extended search adds a point, a repeat does not
                self._client.log_metric(self.parent_run_id, key, value, now, len(outcome.trials))

    def _save_views(self, axes: Sequence[str]) -> None:
        where = (self._client, self.experiment_id, self.parent_run_id, self.name)
        save_view(*where, axes, self._metric)
        save_front_view(*where, axes, self._metric)


def _common_parameters(children: Sequence[Run]) -> list[str]:
    """Return the parameters that every trial has and that differ between trials."""
    configs = [run.data.params for run in children]
    if not configs:
        return []
    common = set(configs[0]).intersection(*configs)
    varied = [name for name in common if len({config[name] for config in configs}) > 1]
    return sorted(varied, key=lambda name: (name != "divergence", name))
