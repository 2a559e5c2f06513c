"""A configuration along a dial as a run in MLflow, beside the trials of its search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from adiw_tune.arms import arm
from adiw_tune.csv_text import csv_text
from adiw_tune.metrics import ACCURACY, Metric, find_metric
from adiw_tune.tracking import words
from adiw_tune.tracking.colours import look_of
from adiw_tune.tracking.description import table
from adiw_tune.tracking.figures.chart import Chart
from adiw_tune.tracking.figures.in_matplotlib import write_picture
from adiw_tune.tracking.figures.in_plotly import write_page
from adiw_tune.tracking.figures.scaling import scale_chart
from adiw_tune.tracking.store import SEARCH_TAG, client_of, find_experiment, find_parent
from adiw_tune.tracking.translate import NOTE, parameters
from adiw_tune.tracking.view import picture_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

KIND = "scale"
_METRICS = (
    "rows_per_s",
    "rows_per_work_s",
    "efficiency",
    "wall_s",
    "work_s",
    "ratio",
    "peak_memory_gib",
)
READ = (
    "wall: time spent training; work: as calibrated alone on the device; seconds are those of an "
    "epoch; step: times one with all weights 1; GiB: peak memory of the process, on a GPU of its "
    "tensors"
)


@dataclass(frozen=True)
class Scale:
    """What is turned, and of what.

    Args:
        dial, axis: the dial's name, and what its values count.
        trial, name: of the trial whose configuration it is: its id, and what its run is called.
        config: the configuration, without what differs between the points.
        device, seeds: what each point runs on, cpu or cuda, and over how many.
        metric: name of what the search chooses by.
        machine, commit: where that is, and of which code.
    """

    dial: str
    axis: str
    trial: str
    name: str
    config: Mapping[str, Any]
    device: str
    seeds: int
    metric: str
    machine: str
    commit: str | None

    @property
    def run_name(self) -> str:
        """What the run of the curve is called."""
        return f"{self.name}-scale-{self.dial}"

    def chart(self, curve: pd.DataFrame) -> Chart:
        """The figure of its points so far."""
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds} seeds"
        what = f"{self.name} on {self.device}, {seeds}"
        return scale_chart(self.dial, self.axis, what, curve, self.metric)


class ScaleRun:
    """The run of one curve. Get one from `start` or `go_on`; `record` and `finish` may be repeated.

    A curve has a row for each point: dial, value, status (finished or failed), reason, and the
    columns that are measured, NaN where it failed. The metrics' step is the value, so that MLflow's
    own charts show the curve.
    """

    def __init__(self, client: MlflowClient, run_id: str, scale: Scale) -> None:
        """Wrap an existing run."""
        self._client = client
        self._run_id = run_id
        self._scale = scale
        self._times: dict[int, int] = {}  # value -> when it was first recorded: the same again

    @classmethod
    def start(cls, uri: str, search_id: str, scale: Scale) -> Self | None:
        """Create the run, each time a new one; None if the search is not recorded here."""
        client = client_of(uri)
        experiment_id = find_experiment(client)
        parent = experiment_id and find_parent(client, experiment_id, search_id)
        if not parent:
            return None
        tags = {
            "mlflow.parentRunId": parent.info.run_id,
            "mlflow.runColor": look_of(arm(scale.config)).colour,
            SEARCH_TAG: search_id,
            "search": str(parent.info.run_name),
            "kind": KIND,
            "dial": scale.dial,
            "of": scale.trial,
            "divergence": arm(scale.config),
            "machine": scale.machine,
            "commit": scale.commit or "",
        }
        run = client.create_run(parent.info.experiment_id, tags=tags, run_name=scale.run_name)
        started = cls(client, run.info.run_id, scale)
        started._log_parameters()
        return started

    @classmethod
    def go_on(cls, uri: str, run_id: str, scale: Scale) -> Self | None:
        """The run of a curve that was killed; None if it is not there any more."""
        client = client_of(uri)
        if not _is_there(client, run_id):
            return None
        run = cls(client, run_id, scale)
        told = client.get_metric_history(run_id, _METRICS[0])
        run._times = {int(point.step): int(point.timestamp) for point in told}
        return run

    @staticmethod
    def leave(uri: str, run_id: str) -> None:
        """End the run of a curve that was killed and will not go on."""
        client = client_of(uri)
        if _is_there(client, run_id):
            client.set_terminated(run_id, "KILLED")

    @property
    def run_id(self) -> str:
        """MLflow's."""
        return self._run_id

    def record(self, curve: pd.DataFrame) -> None:
        """Write the metrics of its finished points."""
        from mlflow.entities import Metric

        metrics = []
        for row in curve[curve["status"] == "finished"].to_dict("records"):
            step = int(row["value"])
            when = self._times.setdefault(step, int(time.time() * 1000))
            names = (*_METRICS, self._scale.metric)
            known = {name: float(row[name]) for name in names if pd.notna(row[name])}
            metrics += [Metric(name, value, when, step) for name, value in known.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def finish(self, curve: pd.DataFrame, status: str) -> None:
        """Write figure, table and description, and end the run.

        Args:
            curve: all its points.
            status: MLflow's, such as FINISHED or KILLED.
        """
        self.record(curve)
        stem = f"scale-{self._scale.dial}"
        chart = self._scale.chart(curve)
        with TemporaryDirectory(prefix="adiw-scale-") as folder:
            path = Path(folder) / stem
            path.with_suffix(".csv").write_text(csv_text(curve))
            write_page([chart], path.with_suffix(".html"))
            write_picture(chart, path.with_suffix(".png"))
            self._client.log_artifacts(self._run_id, folder)
        picture = picture_address(self._run_id, f"{stem}.png")
        head, rows = scale_cells(self._scale.dial, curve, find_metric(self._scale.metric))
        written = table(head, rows, [False] * len(rows))
        note = f"{written}\n\n{READ}.\n\n![{chart.title}]({picture})"
        self._client.set_tag(self._run_id, NOTE, note)
        self._client.set_terminated(self._run_id, status)

    def _log_parameters(self) -> None:
        from mlflow.entities import Param

        scale = self._scale
        told = {"dial": scale.dial, "device": scale.device, "seeds": str(scale.seeds)}
        params = [Param(*item) for item in (parameters({"config": scale.config}) | told).items()]
        self._client.log_batch(self._run_id, params=params)


def _is_there(client: MlflowClient, run_id: str) -> bool:
    from mlflow import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def scale_cells(
    dial: str, curve: pd.DataFrame, metric: Metric = ACCURACY
) -> tuple[list[str], list[list[str]]]:
    """Return the table that people read: its head, and a row of as many cells for each point."""
    failed = bool((curve["status"] == "failed").any())
    head = [dial, "rows/wall s", "rows/work s", "efficiency", "wall s", "work s", "step", "GiB"]
    return [*head, metric.name, *["failed"] * failed], [
        [
            str(row["value"]),
            *(words.number(row[name], 0) for name in ("rows_per_s", "rows_per_work_s")),
            *(words.number(row[name], 3) for name in ("efficiency", "wall_s", "work_s")),
            *(words.number(row[name]) for name in ("ratio", "peak_memory_gib")),
            words.value(row[metric.name], metric),
            *[row["reason"] if row["status"] == "failed" else ""] * failed,
        ]
        for row in curve.to_dict("records")
    ]
