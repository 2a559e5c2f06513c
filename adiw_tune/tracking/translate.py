"""A search's events in MLflow's words: names, tags, parameters and metrics of a trial's run."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from adiw_tune.arms import arm
from adiw_tune.metrics import ACCURACY
from adiw_tune.metrics import Metric as MainMetric
from adiw_tune.tracking.colours import look_of

if TYPE_CHECKING:
    from mlflow.entities import Metric

Event = Mapping[str, Any]

# And the metrics; share/<divergence>, where several are mixed; unweighed, where it is not 0.
SPENT = ("work_s", "wall_s", "loss")
STATUSES = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "infeasible": "FAILED",
    "stopped": "KILLED",
    "pruned": "KILLED",
}
NOTE = "mlflow.note.content"  # the description on a run's overview, in Markdown
# Of a run's set-up.
_TOLD = ("device", "host", "plain_s", "ratio", "speed", "extra_speed", "memory_bytes")
_LONGEST_TAG = 5000  # MLflow takes 8,000 bytes


def _arm(event: Event) -> str:
    return arm(event.get("config") or {"divergence": "trial"})


def run_name(trial: str, event: Event) -> str:
    """Return `mmd-7` for search trial number 7, and `mmd-7-seed3` for its rerun over seed 3."""
    if "number" not in event:
        return trial
    rerun = trial.removeprefix(event["of"]) if event.get("of") else ""
    return f"{_arm(event)}-{event['number']}{rerun}"


def first_tags(trial: str, event: Event) -> dict[str, str]:
    """Return the tags of a trial that begins."""
    name = _arm(event)
    return {
        "mlflow.runColor": look_of(name).colour,  # MLflow's charts use it for the run's points
        "adiw.trial": trial,
        "kind": event.get("kind", "search"),
        "of": event.get("of") or "",
        "divergence": name,
        "front": "no",
        "pruned": "no",
        "rung": "",
    }


def parameters(event: Event) -> dict[str, str]:
    """Return the trial's configuration as parameters; the divergence goes by the name of its arm.

    And what else was suggested for it, by names that are not the configuration's.
    """
    config = event.get("config", {})
    suggested = {parameter_name(name): value for name, value in event.get("params", {}).items()}
    ours = {metric_name(name): value for name, value in settings_of(config).items()}
    wanted = {**suggested, **ours, "divergence": arm(config)} if config else {}
    return {name: str(value) for name, value in wanted.items() if value is not None}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration; of the network's own settings each is `model.width`."""
    fields = {name: value for name, value in config.items() if name != "model"}
    return fields | {f"model.{name}": value for name, value in (config.get("model") or {}).items()}


def setup_tags(event: Event) -> dict[str, str]:
    """Return what a `setup` event tells: device, calibration, versions, each split's digest."""
    told = {key: event.get(key) for key in _TOLD}
    splits = {f"split.{role}": digest for role, digest in event.get("splits", {}).items()}
    versions = {f"version.{name}": number for name, number in event.get("versions", {}).items()}
    found = {**told, **splits, **versions}
    return {key: str(value) for key, value in found.items() if value is not None}


def end_tags(event: Event) -> dict[str, str]:
    """Return the tags of a trial that ended: whether it was cut, where, and why it failed."""
    pruned = event["status"] == "pruned"
    rung = event.get("rung")
    tags = {
        "pruned": "yes" if pruned else "no",
        "rung": str(rung) if pruned and rung is not None else "",
    }
    if reason := event.get("reason"):
        if STATUSES[event["status"]] == "FAILED":
            tags["failure"] = str(reason)[:_LONGEST_TAG]
        tags[NOTE] = f"Trial {event['status']}: {reason}"[:_LONGEST_TAG]
    return tags


def epoch_metrics(event: Event) -> list[Metric]:
    """Return the metrics of an `epoch` event; of any other, none."""
    from mlflow.entities import Metric

    if event["event"] != "epoch":
        return []
    return [
        Metric(name, float(value), milliseconds(event), int(event["epoch"]))
        for name, value in _numbers(event).items()
        if value is not None
    ]


def best_metrics(
    metrics: Sequence[Metric], event: Event, by: MainMetric = ACCURACY
) -> list[Metric]:
    """Return `best/accuracy`, `best/epoch` and `best/work_s`: of the first epoch that is the best.

    Args:
        metrics: of all epochs of the trial.
        by: what the search chooses by, whose name stands in place of `accuracy`.
        event: its end, whose time the metrics take.
    """
    from mlflow.entities import Metric

    known = [one for one in metrics if one.key == by.name and math.isfinite(one.value)]
    if not known:
        return []
    best = min(known, key=lambda point: (-by.score(point.value), point.step))
    costs = (one.value for one in metrics if (one.key, one.step) == ("work_s", best.step))
    values = {by.name: best.value, "epoch": float(best.step), "work_s": next(costs, math.nan)}
    time = milliseconds(event)
    return [Metric(f"best/{name}", value, time, best.step) for name, value in values.items()]


def milliseconds(event: Event) -> int:
    """Return when it happened, as MLflow counts."""
    return int(event["time"] * 1000)


def metric_name(text: str) -> str:
    """Return the text without what MLflow refuses in names of metrics and parameters."""
    return re.sub(r"[^\w./ -]", "_", text)


def parameter_name(text: str) -> str:
    """Return the text without what MLflow refuses in a parameter's name: a space may suggest any.

    MLflow takes 250 characters, and no name that would be another one as a path.
    """
    name = metric_name(text)[:250] or "_"
    return name if posixpath.normpath(name) == name.lstrip("/.") else re.sub(r"[/.]", "_", name)


def _numbers(event: Event) -> dict[str, Any]:
    shares = event.get("shares") or {}
    unweighed = event.get("unweighed")
    return {
        **event["metrics"],
        **{name: event.get(name) for name in SPENT},
        **{metric_name(f"share/{divergence}"): share for divergence, share in shares.items()},
        **({"unweighed": unweighed} if unweighed else {}),
    }
