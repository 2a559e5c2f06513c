"""One search in MLflow: a parent run, a child run for each trial, and the decision."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from adiw_tune.tracking.check import sqlite_path
from adiw_tune.tracking.children import NOTE, Event, TrialRuns
from adiw_tune.tracking.description import describe
from adiw_tune.tracking.view import save_view, view_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "adiw-tune"
_SEARCH_TAG = "adiw.search_id"


class SearchRuns:
    """The parent run of a search and its children, in one MLflow store.

    Get one from `open`, which creates the parent, or `find`, which does not. Every method may be
    called again with the same arguments and changes nothing the second time.
    """

    def __init__(self, client: MlflowClient, parent: Run) -> None:
        """Wrap an existing parent run."""
        self._client = client
        self._parent = parent
        self.experiment_id: str = parent.info.experiment_id
        self.parent_run_id: str = parent.info.run_id
        self.view_key: str = view_key(self.parent_run_id)
        self._children = TrialRuns(client, self.experiment_id, self.parent_run_id)

    @classmethod
    def open(
        cls, uri: str, search_name: str, parameters: Mapping[str, Any], search_id: str
    ) -> Self:
        """Return the search's runs, with the parent RUNNING; it is created if there is none yet.

        Args:
            uri: the tracking store, already checked by `check_tracking_uri`.
            search_name: the parent run's name.
            parameters: what the search was started with; they become the parent's parameters. One
                that differs when a search is resumed is kept in the tag `resumed.<name>`.
            search_id: what a resumed search is recognised by; letters, digits, `-` and `_`.
        """
        client = _client(uri)
        experiment_id = _experiment(client, uri)
        parent = _find_parent(client, experiment_id, search_id)
        if parent is None:
            tags = {_SEARCH_TAG: search_id}
            parent = client.create_run(experiment_id, tags=tags, run_name=search_name)
            # Already here, so that the page can be watched while the search runs.
            save_view(client, experiment_id, parent.info.run_id, search_name, ["divergence"])
        elif parent.info.status != "RUNNING":
            client.update_run(parent.info.run_id, status="RUNNING")
        _log_parameters(client, parent, parameters)
        return cls(client, parent)

    @classmethod
    def find(cls, uri: str, search_id: str) -> Self | None:
        """Return the runs of a search that was recorded here, None if there are none."""
        client = _client(uri)
        experiment = client.get_experiment_by_name(EXPERIMENT)
        parent = experiment and _find_parent(client, experiment.experiment_id, search_id)
        return cls(client, parent) if parent else None

    def record(self, events: Sequence[Event]) -> None:
        """Write a batch of the search's events; sending one again adds nothing."""
        self._children.record(events)

    def finish(
        self,
        front: pd.DataFrame,
        decision: Mapping[str, Any] | None,
        trials: pd.DataFrame,
        winner_command: str,
        status: str = "FINISHED",
    ) -> None:
        """Write the decision to the parent run and end every run of the search.

        Args:
            front: the rows of `trials` on the front; may be empty.
            decision: at least divergence, trial, accuracy, train_seconds, policy and reason; None
                if no trial finished, which makes a parent FAILED that would be FINISHED.
            trials: columns trial, number, divergence, accuracy, train_seconds, epochs, status,
                on_front; further columns are shown as the trial's configuration.
            winner_command: the command line that trains the winner again.
            status: MLflow's status for the parent: FINISHED, FAILED or KILLED.
        """
        best = None if decision is None else str(decision["trial"])
        children = self._mark_children(set(front["trial"].astype(str)), best)
        self._log_artifacts(front, decision, trials, best)
        self._log_numbers(decision, trials)
        text = describe(front, decision, trials, winner_command)
        self._client.set_tag(self.parent_run_id, NOTE, text)
        name = str(self._parent.info.run_name)
        axes = _common_parameters(children)
        save_view(self._client, self.experiment_id, self.parent_run_id, name, axes)
        if decision is None and status == "FINISHED":
            status = "FAILED"
        self._client.set_terminated(self.parent_run_id, status)

    def interrupt(self) -> None:
        """Mark the search, and trials still running, as KILLED until it is resumed."""
        self._mark_children(None, None)
        self._client.set_terminated(self.parent_run_id, "KILLED")

    def _mark_children(self, front: set[str] | None, best: str | None) -> list[Run]:
        """Tag each child with its place (unless `front` is None) and end those still running."""
        children = self._children.all()
        for run in children:
            tags = run.data.tags
            trial = tags["adiw.trial"]
            if front is not None:
                wanted = {"front": "yes" if trial in front else "no"}
                if trial == best or "best" in tags:  # an extended search may have a new winner
                    wanted["best"] = "yes" if trial == best else "no"
                for key in wanted.keys() - {k for k in wanted if tags.get(k) == wanted[k]}:
                    self._client.set_tag(run.info.run_id, key, wanted[key])
            if run.info.status == "RUNNING":
                self._client.set_terminated(run.info.run_id, "KILLED")
        return children

    def _log_artifacts(
        self,
        front: pd.DataFrame,
        decision: Mapping[str, Any] | None,
        trials: pd.DataFrame,
        best: str | None,
    ) -> None:
        from adiw_tune.tracking.figures import write_front_html, write_front_png

        with TemporaryDirectory(prefix="adiw-front-") as name:
            folder = Path(name)
            front.to_csv(folder / "front.csv", index=False)
            write_front_html(trials, folder / "front.html", best)
            write_front_png(trials, folder / "front.png", best)
            text = json.dumps(None if decision is None else dict(decision), indent=2, default=str)
            (folder / "decision.json").write_text(text + "\n")
            self._client.log_artifacts(self.parent_run_id, name)

    def _log_numbers(self, decision: Mapping[str, Any] | None, trials: pd.DataFrame) -> None:
        numbers = {"trials": float(len(trials))}
        for status in ("finished", "failed", "stopped"):
            numbers[f"trials_{status}"] = float((trials["status"] == status).sum())
        if decision is not None:
            numbers["picked_accuracy"] = float(decision["accuracy"])
            numbers["picked_train_seconds"] = float(decision["train_seconds"])
            self._client.set_tag(self.parent_run_id, "divergence", str(decision["divergence"]))
        known = self._client.get_run(self.parent_run_id).data.metrics
        now = int(time.time() * 1000)
        for key, value in numbers.items():
            if known.get(key) != value:  # an extended search adds a point, a repeat does not
                self._client.log_metric(self.parent_run_id, key, value, now, len(trials))


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    # As a run ends, MLflow prints its address, and with it the password that stands in the URI.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    return MlflowClient(tracking_uri=uri)


def _experiment(client: MlflowClient, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    database = sqlite_path(uri)
    # MLflow's own default is relative to the working directory, so pages opened from another
    # directory would not find the files. A server knows best where its artifacts belong.
    location = (database.parent / "mlartifacts" / EXPERIMENT).as_uri() if database else None
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:  # another search on the same store may have been faster
        if found := client.get_experiment_by_name(EXPERIMENT):
            return str(found.experiment_id)
        raise


def _find_parent(client: MlflowClient, experiment_id: str, search_id: str) -> Run | None:
    query = f"tags.`{_SEARCH_TAG}` = '{search_id}'"
    return next(iter(client.search_runs([experiment_id], query, max_results=1)), None)


def _log_parameters(client: MlflowClient, parent: Run, parameters: Mapping[str, Any]) -> None:
    known = parent.data.params
    for key, value in parameters.items():
        if key not in known:
            client.log_param(parent.info.run_id, key, str(value))
        elif known[key] != str(value):  # MLflow refuses to change a parameter
            client.set_tag(parent.info.run_id, f"resumed.{key}", str(value))


def _common_parameters(children: Sequence[Run]) -> list[str]:
    """Return the parameters that every trial has and that differ between trials."""
    configs = [run.data.params for run in children]
    if not configs:
        return []
    common = set(configs[0]).intersection(*configs)
    varied = [name for name in common if len({config[name] for config in configs}) > 1]
    return sorted(varied, key=lambda name: (name != "divergence", name))
