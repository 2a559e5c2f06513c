"""How sure a metric's value is, from the rows that it was measured on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adiw_tune.errors import UserError
from adiw_tune.metrics.metric import Metric
from adiw_tune.metrics.predictions import Predictions
from adiw_tune.metrics.table import ACCURACY, value_of

_RESAMPLES = 1000
_LEAST_WITH_VALUE = _RESAMPLES // 2  # an interval of fewer says little about the metric
_TOLD_EVERY_S = 5.0


@dataclass(frozen=True)
class RowInterval:
    """The 95% interval of a metric's value over the rows.

    Args:
        ends: low and high; None where too few resamples have a value.
        resamples: how many were drawn; 0 for Wilson's interval.
        left_out: how many of them have no value.
    """

    ends: tuple[float, float] | None
    resamples: int = 0
    left_out: int = 0


def interval_over_rows(
    metric: Metric, predictions: Predictions, tell: Callable[[str], object]
) -> RowInterval:
    """The 95% interval of the metric over the rows.

    For accuracy with one prediction a row it is Wilson's interval. For any other metric, accuracy
    over several labels included, it is the percentile bootstrap: the metric on 1,000 resamples of
    the rows, drawn by a fixed seed. Resamples without a value, such as those that miss a class, and
    those on which a task's own metric raises, are left out; there is no interval if they are more
    than half. ``tell`` is called with a line of progress every 5 seconds.
    """
    if metric.name == ACCURACY.name and predictions.right.size == len(predictions.right):
        return RowInterval(_wilson(int(predictions.right.sum()), len(predictions.right)))
    rng, rows = np.random.default_rng(0), len(predictions.targets)
    values: list[float] = []
    told = time.monotonic()
    for drawn in range(_RESAMPLES):
        if time.monotonic() - told >= _TOLD_EVERY_S:
            tell(f"interval of {metric.name}: resample {drawn} of {_RESAMPLES}")
            told = time.monotonic()
        value = _value(metric, predictions.take(rng.integers(rows, size=rows)))
        if value is not None:
            values.append(value)
    ends = None
    if len(values) >= _LEAST_WITH_VALUE:
        low, high = np.quantile(values, [0.025, 0.975])
        ends = (float(low), float(high))
    return RowInterval(ends, _RESAMPLES, _RESAMPLES - len(values))


def _value(metric: Metric, resample: Predictions) -> float | None:
    """None if it is undefined, or if a task's own metric raises, as by division by zero."""
    try:
        return value_of(metric, resample)
    except UserError:
        return None


def _wilson(right: int, rows: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(right, rows).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)
