"""Where a search stands in an MLflow store: the client, the experiment, the parent run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adiw_tune.tracking.check import sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "adiw-tune"
SEARCH_TAG = "adiw.search_id"  # of the parent, by which it is found again, and of its children
PARENT = "parent"  # the parent's `kind`; a child's is what its trial is for


def client_of(uri: str) -> MlflowClient:
    """Return a client that never prints the address, in which a password may stand."""
    from mlflow import MlflowClient

    # As a run ends, MLflow prints its address, and with it the password that stands in the URI.
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    return MlflowClient(tracking_uri=uri)


def the_experiment(client: MlflowClient, uri: str) -> str:
    """Return the id of the experiment of all searches; it is created if there is none yet."""
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


def find_parent(client: MlflowClient, experiment_id: str, search_id: str) -> Run | None:
    """Return the parent run of a search, None if it was not recorded here."""
    query = f"tags.`{SEARCH_TAG}` = '{search_id}' AND tags.`kind` = '{PARENT}'"
    return next(iter(client.search_runs([experiment_id], query, max_results=1)), None)


def log_parameters(client: MlflowClient, parent: Run, parameters: Mapping[str, Any]) -> None:
    """Write what a search was started with; what differs when it is resumed becomes a tag."""
    known = parent.data.params
    for key, value in parameters.items():
        if key not in known:
            client.log_param(parent.info.run_id, key, str(value))
        elif known[key] != str(value):  # MLflow refuses to change a parameter
            client.set_tag(parent.info.run_id, f"resumed.{key}", str(value))
