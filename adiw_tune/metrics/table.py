"""Which metrics there are: one line each."""

import math

from adiw_tune.errors import UserError
from adiw_tune.metrics import formulas
from adiw_tune.metrics.metric import Metric
from adiw_tune.metrics.predictions import BINARY, CLASSES, REAL, Predictions

OWN = "metric"  # what a task's own is called
_LABELS, _REAL = (CLASSES, BINARY), (REAL,)

# Name, greater is better, least, most, kinds of targets, needs groups, formula. Of each kind of
# targets the first is the default.
_ALL = (
    Metric("accuracy", True, 0, 1, _LABELS, compute=formulas.accuracy),
    Metric("balanced_accuracy", True, 0, 1, _LABELS, compute=formulas.balanced_accuracy),
    Metric("macro_f1", True, 0, 1, _LABELS, compute=formulas.macro_f1),
    Metric("auroc", True, 0, 1, _LABELS, compute=formulas.auroc),
    Metric("average_precision", True, 0, 1, _LABELS, compute=formulas.average_precision),
    Metric("worst_group_accuracy", True, 0, 1, _LABELS, True, formulas.worst_group_accuracy),
    Metric("log_loss", False, 0, math.inf, _LABELS, compute=formulas.log_loss),
    Metric("rmse", False, 0, math.inf, _REAL, compute=formulas.rmse),
    Metric("mae", False, 0, math.inf, _REAL, compute=formulas.mae),
    Metric("r2", True, -math.inf, 1, _REAL, compute=formulas.r2),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
ACCURACY = METRICS["accuracy"]


def find_metric(name: str, greater_is_better: bool = True) -> Metric:
    """The metric called ``name``: of the table, or a task's own, whose direction is given.

    Raises:
        UserError: there is none.
    """
    if name == OWN:
        return Metric(OWN, greater_is_better)
    if name not in METRICS:
        raise UserError(
            f"unknown metric '{name}': choose one of {', '.join(METRICS)}, or {OWN}, which the "
            "task's file defines"
        )
    return METRICS[name]


def applicable(predictions: Predictions, own: Metric | None = None) -> list[Metric]:
    """The metrics that there are for such predictions, the task's ``own`` last."""
    grouped = predictions.groups is not None
    of_kind = [one for one in _ALL if predictions.kind in one.kinds]
    fitting = [one for one in of_kind if grouped or not one.needs_groups]
    return fitting if own is None else [*fitting, own]


def measure(predictions: Predictions, own: Metric | None = None) -> dict[str, float | None]:
    """Name -> value of each metric that applies; None where these rows have no value."""
    return {one.name: value_of(one, predictions) for one in applicable(predictions, own)}


def value_of(metric: Metric, predictions: Predictions) -> float | None:
    """The metric's value, None where these rows have none or an output is NaN or infinite."""
    if metric.compute is None or not predictions.finite:
        return None
    value = metric.compute(predictions)
    return value if math.isfinite(value) else None
