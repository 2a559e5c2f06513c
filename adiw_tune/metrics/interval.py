"""How sure a metric's value is, from the rows that it was measured on."""

import numpy as np

from adiw_tune.metrics.metric import Metric
from adiw_tune.metrics.predictions import Predictions
from adiw_tune.metrics.table import ACCURACY, value_of

_RESAMPLES = 1000


def interval_over_rows(metric: Metric, predictions: Predictions) -> tuple[float, float]:
    """The 95% interval (low, high) of the metric over the rows.

    For accuracy with one prediction a row it is Wilson's interval. For any other metric, accuracy
    over several labels included, it is the percentile bootstrap: the metric on 1,000 resamples of
    the rows, drawn by a fixed seed. Resamples without a value, such as those that miss a class,
    are left out.
    """
    if metric.name == ACCURACY.name and predictions.right.size == len(predictions.right):
        return _wilson(int(predictions.right.sum()), len(predictions.right))
    rng, rows = np.random.default_rng(0), len(predictions.targets)
    draws = (rng.integers(rows, size=rows) for _ in range(_RESAMPLES))
    values = [value_of(metric, predictions.take(draw)) for draw in draws]
    low, high = np.quantile([one for one in values if one is not None], [0.025, 0.975])
    return float(low), float(high)


def _wilson(right: int, rows: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(right, rows).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)
