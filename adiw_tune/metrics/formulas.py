"""The metrics' formulas, as scikit-learn defines them. NaN is where rows have no value.

In NumPy, because all of them are computed after every epoch: scikit-learn's take 35 ms for 250 rows
of 10 classes, most of it checks of each class's arguments, and as long as a third of an epoch on
digits. These take 1 ms. The tests compare them with scikit-learn's.
"""

import numpy as np

from adiw_tune.metrics.predictions import CLASSES, Array, Predictions


def accuracy(predictions: Predictions) -> float:
    """Share of right decisions; of several labels, over all of them."""
    right = predictions.right
    return int(right.sum()) / right.size


def balanced_accuracy(predictions: Predictions) -> float:
    """Mean over the classes of the share of their rows that are right; of labels, their mean."""
    return _mean([_balanced(counts) for counts in predictions.confusions])


def macro_f1(predictions: Predictions) -> float:
    """Mean over the classes of 2 TP / (2 TP + FP + FN); of several labels, of their ones alone.

    A class that no row is of, and none is said to be of, is left out; such a label counts 0.
    """
    scores = [_f1(counts) for counts in predictions.confusions]
    if len(scores) > 1:
        return _mean([np.nan_to_num(score[1]) for score in scores])
    seen = scores[0][~np.isnan(scores[0])]  # classes that are there, or were said to be
    return float(seen.mean())


def auroc(predictions: Predictions) -> float:
    """Area under the ROC curve; the mean over classes, each against the rest, or over labels."""
    return _mean([_area(*_counts(*one)) for one in predictions.one_against_rest])


def average_precision(predictions: Predictions) -> float:
    """Sum over thresholds of precision times gained recall; the mean as for the ROC curve."""
    return _mean([_precision(*_counts(*one)) for one in predictions.one_against_rest])


def worst_group_accuracy(predictions: Predictions) -> float:
    """The accuracy within the group where it is the lowest."""
    assert predictions.groups is not None
    _, place = np.unique(predictions.groups, return_inverse=True)
    right = predictions.right.reshape(len(place), -1).mean(1)
    return float((np.bincount(place, right) / np.bincount(place)).min())


def log_loss(predictions: Predictions) -> float:
    """Mean of -log of the probability of what is true; of several labels, over all of them."""
    if predictions.kind == CLASSES:
        rows = np.arange(len(predictions.targets))
        return float(-predictions.log_probabilities[rows, predictions.targets].mean())
    logits = predictions.outputs.astype(np.float64)
    return float(np.logaddexp(0.0, np.where(predictions.targets == 1, -logits, logits)).mean())


def rmse(predictions: Predictions) -> float:
    """sqrt(mean((output - target)^2)); the mean over the columns."""
    return float(np.sqrt(np.square(_errors(predictions)).mean(0)).mean())


def mae(predictions: Predictions) -> float:
    """mean(abs(output - target))."""
    return float(np.abs(_errors(predictions)).mean())


def r2(predictions: Predictions) -> float:
    """1 - mean((output - target)^2) / var(target); the mean over the columns."""
    targets = predictions.targets.astype(np.float64)
    spread = np.square(targets - targets.mean(0)).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):  # targets that are all the same
        shares = np.square(_errors(predictions)).sum(0) / spread
    return float(np.mean(1 - np.where(spread > 0, shares, np.nan)))


def _errors(predictions: Predictions) -> Array:
    return np.asarray(predictions.outputs.astype(np.float64) - predictions.targets)


def _mean(values: list[float]) -> float:
    """NaN if one of them is: a mean over other classes would be another metric."""
    return float(np.mean(values))


def _balanced(counts: Array) -> float:
    rows = counts.sum(1)
    return float((np.diag(counts)[rows > 0] / rows[rows > 0]).mean())


def _f1(counts: Array) -> Array:
    """[classes]; NaN of a class that neither is there nor is said to be."""
    both = counts.sum(0) + counts.sum(1)
    return np.asarray(2 * np.diag(counts) / np.where(both > 0, both, np.nan))


def _counts(scores: Array, truth: Array) -> tuple[Array, Array]:
    """How many that are true, and that are not, lie at or above each threshold, from the top."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(scores) - 1)  # of its equals
    true = np.cumsum(truth[order])[last]
    return true, last + 1 - true


def _area(true: Array, false: Array) -> float:
    if not true[-1] or not false[-1]:
        return np.nan
    return float(np.trapezoid(np.r_[0, true], np.r_[0, false]) / (true[-1] * false[-1]))


def _precision(true: Array, false: Array) -> float:
    if not true[-1]:
        return np.nan
    return float(np.sum(np.diff(true, prepend=0) * true / (true + false)) / true[-1])
