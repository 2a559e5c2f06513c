"""What says how good predictions are. A new metric is a formula, and a line in the table."""

from adiw_tune.metrics.interval import RowInterval, interval_over_rows
from adiw_tune.metrics.metric import Metric
from adiw_tune.metrics.predictions import BINARY, CLASSES, KINDS, OWN_TARGETS, REAL, Predictions
from adiw_tune.metrics.table import (
    ACCURACY,
    METRICS,
    OWN,
    applicable,
    find_metric,
    measure,
    value_of,
)

__all__ = [
    "ACCURACY",
    "BINARY",
    "CLASSES",
    "KINDS",
    "METRICS",
    "OWN",
    "OWN_TARGETS",
    "REAL",
    "Metric",
    "Predictions",
    "RowInterval",
    "applicable",
    "find_metric",
    "interval_over_rows",
    "measure",
    "value_of",
]
