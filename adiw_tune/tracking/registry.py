"""The winner as a registered model, which nobody has to trust a pickle of.

It is saved as a graph exported by torch.export (MLflow's format pt2), with tensors as raw bytes:
`mlflow.pytorch.load_model` refuses such a file if there is anything in it to unpickle, and needs
neither this package nor the user's code. A network that cannot be exported, because its path
depends on its input's values or its inputs are several arrays, is kept as its state_dict, for
`mlflow.pytorch.load_state_dict`.
"""

from __future__ import annotations

import re
import warnings
from copy import deepcopy
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from adiw_tune.tracking.check import without_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_FOLDER = "model"  # among the artifacts of the winner's run
_ROWS = 2  # torch.export would take one row for a constant


def model_name(search_name: str) -> str:
    """Return what the winner of a search is registered as.

    MLflow refuses `/` and `:` in it, and cannot be asked for one with a quotation mark.
    """
    return "adiw-tune-" + re.sub(r"[^\w .-]", "-", search_name)


def register_model(
    client: MlflowClient, run: Run, network: Any, rows: np.ndarray | None, name: str, alias: str
) -> str:
    """Save a network with its run, make it a version of a registered model, and return the version.

    A run has one version: called again, it only sets the alias. See `SearchRuns.register`.
    """
    found = _version_of(client, name, run) or _create_version(client, run, network, rows, name)
    client.set_registered_model_alias(name, alias, found.version)
    return str(found.version)


def _version_of(client: MlflowClient, name: str, run: Run) -> ModelVersion | None:
    query = f"name = '{name}' AND run_id = '{run.info.run_id}'"
    return next(iter(client.search_model_versions(query)), None)


def _create_version(
    client: MlflowClient, run: Run, network: Any, rows: np.ndarray | None, name: str
) -> ModelVersion:
    with TemporaryDirectory(prefix="adiw-model-") as folder:
        note = _save(network, rows, Path(folder) / _FOLDER)
        client.log_artifacts(run.info.run_id, folder)
    _create_name(client, name)
    # The source is the run's own folder: a repeat writes the same files to the same place.
    source = f"{run.info.artifact_uri}/{_FOLDER}"
    tags = {"divergence": run.data.tags.get("divergence", "")}
    return client.create_model_version(name, source, run.info.run_id, tags, description=note)


def _create_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _save(network: Any, rows: np.ndarray | None, folder: Path) -> str:
    """Write the model's folder and return what to say about it."""
    import mlflow.pytorch

    still = deepcopy(network).cpu().eval()
    try:
        _export(still, rows, folder)
    except Exception as error:  # whatever the tracing of somebody's network raises
        rmtree(folder, ignore_errors=True)
        mlflow.pytorch.save_state_dict(still.state_dict(), str(folder))
        return f"state_dict only, as the network cannot be exported: {without_secrets(error)}"
    return "exported by torch.export; mlflow.pytorch.load_model needs no code of this project"


def _export(network: Any, rows: np.ndarray | None, folder: Path) -> None:
    """Write the graph. Of the rows only shape and type are kept: data may be nobody's business."""
    import mlflow.pytorch

    if rows is None:
        raise TypeError("its inputs are several arrays")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own parts
        mlflow.pytorch.save_model(
            network,
            folder,
            input_example=np.zeros((_ROWS, *rows.shape[1:]), rows.dtype),
            pip_requirements=[f"torch=={version('torch')}"],  # MLflow would look for minutes
            serialization_format="pt2",
        )
