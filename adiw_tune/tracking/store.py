"""Where a search stands in an MLflow store: the client, the experiment, the parent run."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adiw_tune.tracking.check import sqlite_path
from adiw_tune.tracking.moved import EXPERIMENT, artifacts_beside, follow_move
from adiw_tune.tracking.refusal import deleted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

SEARCH_TAG = "adiw.search_id"  # of the parent, by which it is found again, and of its children
PARENT = "parent"  # the parent's `kind`; a child's is what its trial is for
_ACTIVE = "active"


def client_of(uri: str) -> MlflowClient:
    """Return a client that never prints the address, in which a password may stand."""
    from mlflow import MlflowClient

    if database := sqlite_path(uri):
        follow_move(database)
    # As a run ends, MLflow prints its address, and with it the password that stands in the URI.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # It prints the traceback of an error of the database that it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


def find_experiment(client: MlflowClient) -> str | None:
    """Return the id of the experiment of all searches, None if there is none yet.

    Raises:
        RefusedError: it is deleted.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return None
    _check_experiment(client, found)
    return str(found.experiment_id)


def the_experiment(client: MlflowClient) -> str:
    """Return the same; it is created if there is none yet."""
    from mlflow.exceptions import MlflowException

    if known := find_experiment(client):
        return known
    database = sqlite_path(client.tracking_uri)
    # A server knows best where its artifacts belong.
    location = artifacts_beside(database) if database else None
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:  # another search on the same store may have been faster
        if known := find_experiment(client):
            return known
        raise


def find_parent(client: MlflowClient, experiment_id: str, search_id: str) -> Run | None:
    """Return the parent run of a search, None if it was not recorded here.

    Raises:
        RefusedError: it is deleted. A new one would have every trial for a second time.
    """
    from mlflow.entities import ViewType

    query = f"tags.`{SEARCH_TAG}` = '{search_id}' AND tags.`kind` = '{PARENT}'"
    found = client.search_runs([experiment_id], query, run_view_type=ViewType.ALL)
    active = [run for run in found if run.info.lifecycle_stage == _ACTIVE]
    if found and not active:
        _check_parent(client, found[0])
    return active[0] if active else None


def check_active(client: MlflowClient, parent: Run) -> None:
    """Raise RefusedError, with the remedy, if a search's run or its experiment was deleted."""
    _check_experiment(client, client.get_experiment(parent.info.experiment_id))
    _check_parent(client, client.get_run(parent.info.run_id))


def check_run(client: MlflowClient, run: Run, what: str) -> None:
    """Raise RefusedError, with the remedy, if a run, which users call `what`, is deleted."""
    if run.info.lifecycle_stage != _ACTIVE:
        raise deleted(client.tracking_uri, what, "run", run.info.run_id)


def _check_experiment(client: MlflowClient, experiment: Experiment) -> None:
    if experiment.lifecycle_stage != _ACTIVE:
        what = f"experiment '{experiment.name}'"
        raise deleted(client.tracking_uri, what, "experiment", experiment.experiment_id)


def _check_parent(client: MlflowClient, run: Run) -> None:
    check_run(client, run, f"the run of search '{run.info.run_name}'")


def log_parameters(client: MlflowClient, parent: Run, parameters: Mapping[str, Any]) -> None:
    """Write what a search was started with; what differs when it is resumed becomes a tag."""
    known = parent.data.params
    for key, value in parameters.items():
        if key not in known:
            client.log_param(parent.info.run_id, key, str(value))
        elif known[key] != str(value):  # MLflow refuses to change a parameter
            client.set_tag(parent.info.run_id, f"resumed.{key}", str(value))
