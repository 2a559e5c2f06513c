"""The interval over rows: which resamples count, and that it can be stopped."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn

from adiw_tune.errors import UserError
from adiw_tune.metrics import (
    METRICS,
    Metric,
    Predictions,
    RowInterval,
    interval,
    interval_over_rows,
)

from .test_formulas import of_classes


def ignore_progress(line: str) -> None:
    """Ignore progress, which a slow machine may report."""


def with_positives(count: int, rows: int = 40) -> Predictions:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(rows, 2)).astype(np.float32)
    return Predictions("classes", logits, (np.arange(rows) < count).astype(np.int64))


def metric_per_positive(predictions: Predictions) -> float:
    """A task's own metric, which divides by the number of rows of class 1."""
    positives = int((predictions.targets == 1).sum())
    if not positives:
        raise UserError("metric() of 'mine.py' fails: ZeroDivisionError: division by zero")
    return float((predictions.right & (predictions.targets == 1)).sum() / positives)


@pytest.mark.parametrize(
    "metric", [METRICS["auroc"], Metric("metric", compute=metric_per_positive)]
)
def test_resamples_without_a_value_are_left_out_and_counted(metric: Metric) -> None:
    found = interval_over_rows(metric, with_positives(1), ignore_progress)
    assert found.ends is not None
    assert 0 <= found.ends[0] <= found.ends[1] <= 1
    assert (found.resamples, found.left_out) == (1000, pytest.approx(1000 / np.e, abs=60))
    assert interval_over_rows(metric, with_positives(20), ignore_progress).left_out == 0


def test_no_interval_if_most_resamples_are_undefined() -> None:
    found = interval_over_rows(METRICS["auroc"], with_positives(0), ignore_progress)
    assert found == RowInterval(None, 1000, 1000)


def test_the_accuracy_of_classes_takes_no_resamples() -> None:
    found = interval_over_rows(METRICS["accuracy"], of_classes(3, 0), ignore_progress)
    assert (found.resamples, found.left_out) == (0, 0)
    assert found.ends is not None


def test_the_interval_is_that_of_resamples_valued_by_scikit_learn() -> None:
    whole = of_classes(2, 0)
    scores = whole.outputs[:, 1].astype(np.float64) - whole.outputs[:, 0]
    rng = np.random.default_rng(0)
    draws = [rng.integers(80, size=80) for _ in range(1000)]
    values = [sklearn.roc_auc_score(whole.targets[draw], scores[draw]) for draw in draws]
    found = interval_over_rows(METRICS["auroc"], whole, ignore_progress)
    assert found.ends == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval, "_TOLD_EVERY_S", 0)
    lines: list[str] = []
    interval_over_rows(METRICS["auroc"], of_classes(2, 0), lines.append)
    assert lines[7] == "interval of auroc: resample 7 of 1000"


def test_ctrl_c_in_own_metric_stops_the_interval() -> None:
    def interrupted(predictions: Predictions) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interval_over_rows(Metric("metric", compute=interrupted), of_classes(2, 0), ignore_progress)
