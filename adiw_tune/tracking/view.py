"""MLflow's pages: the only file that knows what MLflow does not document of them.

MLflow 3.16 and newer keep a shared view of an experiment's page in an experiment tag, and serve a
run's files under `get-artifact`. Nothing else here depends on either: if a later MLflow changes
them, the page opens without our charts, and a description without its picture.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from adiw_tune.metrics import ACCURACY, METRICS, OWN, Metric
from adiw_tune.tracking import words

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TAG = "mlflow.sharedViewState."
_WORK_SECTION, _PARAMETER_SECTION = "adiw-work", "adiw-parameters"
_WITHOUT_CHART = ("work_s", "wall_s", "loss", "best/epoch", "best/work_s")
_MOST_PARALLEL_AXES = 6  # more than this and the labels run into each other
_MOST_COLUMNS = 8


def view_key(parent_run_id: str) -> str:
    """Return the key of a search's saved view; it is the same each time it is saved."""
    return f"adiw-{parent_run_id}"


def view_address(base_url: str, experiment_id: str, key: str) -> str:
    """Return the address under which a browser opens the saved view."""
    # Without workflowType MLflow may open the experiment in its GenAI mode, which has no charts.
    query = urlencode(
        {
            "viewStateShareKey": key,
            "compareRunsMode": "CHART",
            "workflowType": "machine_learning",
        }
    )
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"


def run_address(base_url: str, experiment_id: str, run_id: str) -> str:
    """Return the address of one run's page, where a search's parent shows the decision."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
    return f"{base_url.rstrip('/')}/{page}"


def front_view_key(parent_run_id: str) -> str:
    """Return the key of the view that shows only the front."""
    return f"{view_key(parent_run_id)}-front"


def picture_address(run_id: str, file: str) -> str:
    """Return the address of a picture among a run's artifacts, for the run's own description.

    It is relative to the page, so it holds under every name and prefix of the server.
    """
    return f"get-artifact?{urlencode({'path': file, 'run_uuid': run_id})}"


def artifact_address(experiment_id: str, run_id: str, file: str) -> str:
    """Return the address at which the UI shows a file of a run, for the run's own description."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}/artifacts/{file}"
    return f"{page}?workflowType=machine_learning"


def save_view(
    client: MlflowClient,
    experiment_id: str,
    parent_run_id: str,
    search_name: str,
    parameter_names: Sequence[str],
    metric: Metric = ACCURACY,
) -> str:
    """Save, or overwrite, the view of this search's trials and return its key.

    Args:
        client: a client of the store that holds the runs.
        experiment_id: the experiment, whose tag holds the view.
        parent_run_id: the search's parent run; its children are what the view shows, without
            reruns and re-timings.
        search_name: what the Views menu calls it.
        parameter_names: axes of the parallel coordinates, most telling first. MLflow leaves out a
            trial that lacks one of them, so give those that every trial has.
        metric: what the search chooses by.
    """
    key, name = view_key(parent_run_id), f"{search_name}: {metric.name} against work"
    state = _page_state(_search_trials(parent_run_id), parameter_names, metric)
    _save(client, experiment_id, key, name, state)
    return key


def save_front_view(
    client: MlflowClient,
    experiment_id: str,
    parent_run_id: str,
    search_name: str,
    parameter_names: Sequence[str],
    metric: Metric = ACCURACY,
) -> str:
    """Save, or overwrite, the view of this search's front and return its key; as `save_view`."""
    key, name = front_view_key(parent_run_id), f"{search_name}: the front"
    on_front = f"{_search_trials(parent_run_id)} AND tags.`front` = 'yes'"
    _save(client, experiment_id, key, name, _page_state(on_front, parameter_names, metric))
    return key


def _search_trials(parent_run_id: str) -> str:
    return f"tags.`mlflow.parentRunId` = '{parent_run_id}' AND tags.`kind` = 'search'"


def _save(
    client: MlflowClient, experiment_id: str, key: str, name: str, state: dict[str, Any]
) -> None:
    text = json.dumps(state, separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    now = int(time.time() * 1000)
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    client.set_experiment_tag(experiment_id, _TAG + key, json.dumps(view))


def _page_state(
    search_filter: str, parameter_names: Sequence[str], metric: Metric
) -> dict[str, Any]:
    name = words.title(metric)
    columns = [f"metrics.`{metric.name}`", "metrics.`work_s`", "tags.`front`", "tags.`pruned`"]
    columns += [f"params.`{name}`" for name in parameter_names]
    return {
        "searchFilter": search_filter,
        # Ordered by start time, MLflow would nest the children under a parent that is not shown.
        "orderByKey": f"metrics.`{metric.name}`",
        "orderByAsc": not metric.greater_is_better,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns[:_MOST_COLUMNS],
        "columnOrder": [],
        "columnWidths": {},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "SHOW_ALL",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
        "compareRunSections": [
            _section(_WORK_SECTION, f"{name} against work", columns=2),
            _section(_PARAMETER_SECTION, f"Parameters and {metric.name}", columns=1),
        ],
        "compareRunCharts": _charts(parameter_names, metric.name),
    }


def _section(key: str, name: str, columns: int) -> dict[str, Any]:
    return {
        "uuid": key,
        "name": name,
        "columns": columns,  # three narrow charts in a row, MLflow's default, cannot be read
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }


def _charts(parameter_names: Sequence[str], name: str) -> list[dict[str, Any]]:
    def chart(kind: str, key: str, **fields: Any) -> dict[str, Any]:
        place = {"uuid": f"adiw-{key}", "type": kind, "metricSectionId": _WORK_SECTION}
        common = {"runsCountToCompare": 100, "deleted": False, "isGenerated": False}
        return place | common | fields

    axes = list(parameter_names[:_MOST_PARALLEL_AXES])
    return [
        chart(
            "SCATTER",
            "tradeoff",
            xaxis={"key": "work_s", "type": "METRIC"},
            yaxis={"key": name, "type": "METRIC"},
        ),
        chart("LINE", "progress", **_progress_line(name)),
        chart(
            "PARALLEL",
            "parameters",
            metricSectionId=_PARAMETER_SECTION,
            selectedParams=axes,
            selectedMetrics=[name],
            showAllRuns=True,
        ),
        # MLflow adds a chart for each metric that has none; a deleted one counts as present.
        *(
            chart("LINE", f"no-{metric}", metricKey=metric, deleted=True)
            for metric in (*_WITHOUT_CHART, f"best/{name}", *_beside(name))
        ),
    ]


def _beside(name: str) -> list[str]:
    """The metrics that are recorded beside the one called ``name``."""
    return [other for other in (*METRICS, OWN) if other != name]


def _progress_line(name: str) -> dict[str, Any]:
    return {
        "metricKey": name,
        "selectedMetricKeys": [name],
        "xAxisKey": "metric",
        "selectedXAxisMetricKey": "work_s",
        "useGlobalXaxisKey": False,
        "useGlobalLineSmoothing": True,
        "lineSmoothness": 0,
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
    }
