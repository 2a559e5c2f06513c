"""The metrics' values, as scikit-learn defines them. NaN is where rows have none.

Written out in NumPy: an interval asks for a value a thousand times, and scikit-learn's functions
check, sort and encode all rows in each call.
"""

from collections.abc import Iterator

import numpy as np

from adiw_tune.metrics.predictions import Array, Predictions

_MOST_LOSS = -np.log(np.finfo(np.float64).eps)  # 36.04: scikit-learn takes no probability as less


def accuracy(predictions: Predictions) -> float:
    """Share of right decisions; of several labels, over all of them."""
    right = predictions.right
    return int(right.sum()) / right.size


def balanced_accuracy(predictions: Predictions) -> float:
    """Mean recall over the classes that have rows. With several labels: mean over these."""
    return float(np.mean([_mean_recall(*one) for one in predictions.questions]))


def _mean_recall(targets: Array, decisions: Array) -> float:
    right, rows, _ = _counts(targets, decisions)
    return float((right[rows > 0] / rows[rows > 0]).mean())


def macro_f1(predictions: Predictions) -> float:
    """Mean of F1 = 2 TP / (2 TP + FP + FN) over the classes; with several labels, over the labels.

    A label's F1 is that of value 1. A class that has no row and is never predicted is left out; a
    label that is never 1 and never predicted as 1 counts 0.
    """
    counts = np.stack([_counts(*one) for one in predictions.questions])
    labels = len(counts) > 1
    right, rows, said = counts[:, :, 1].T if labels else counts[0]
    f1 = 2 * right / np.maximum(rows + said, 1)
    return float(f1[labels | (rows + said > 0)].mean())


def _counts(targets: Array, decisions: Array) -> Array:
    """Of each class: rows of it that are decided right, rows of it, rows decided for it."""
    targets = targets.astype(np.int64)
    classes = max(2, targets.max() + 1, decisions.max() + 1)
    some = (targets[targets == decisions], targets, decisions)
    return np.stack([np.bincount(labels, minlength=classes) for labels in some])


def auroc(predictions: Predictions) -> float:
    """Area under the ROC curve; the mean over classes, each against the rest, or over labels."""
    areas = []
    for positive, negative in _by_rank(predictions):
        below = negative.cumsum() - negative / 2  # of equal scores half are taken as below
        pairs = positive.sum() * negative.sum()
        areas.append((positive * below).sum() / pairs if pairs else np.nan)
    return float(np.mean(areas))


def average_precision(predictions: Predictions) -> float:
    """Sum over thresholds of precision times gained recall; the mean as for the ROC curve."""
    averages = []
    for positive, negative in _by_rank(predictions):
        found = positive[::-1].cumsum()[::-1]  # with the threshold at each rank
        precision = found / np.maximum(found + negative[::-1].cumsum()[::-1], 1)
        averages.append((positive * precision).sum() / found[0] if found[0] else np.nan)
    return float(np.mean(averages))


def _by_rank(predictions: Predictions) -> Iterator[tuple[Array, Array]]:
    """Of each column of scores, for each rank from the lowest: how many rows are true, and not."""
    truth = predictions.truth.reshape(len(predictions.ranks), -1)
    for rank, true in zip(predictions.ranks.T, truth.T, strict=True):
        counts = np.bincount(2 * rank + true, minlength=2 * rank.max() + 2)
        yield counts[1::2], counts[::2]


def worst_group_accuracy(predictions: Predictions) -> float:
    """The accuracy within the group where it is the lowest."""
    groups = predictions.groups
    assert groups is not None
    return float(min(predictions.right[groups == group].mean() for group in np.unique(groups)))


def log_loss(predictions: Predictions) -> float:
    """Mean of -log of the probability of what is true; of several labels, over all of them.

    A row adds 36.04 at most.
    """
    return float(np.minimum(predictions.losses, _MOST_LOSS).mean())


def rmse(predictions: Predictions) -> float:
    """sqrt(mean((output - target)^2)); the mean over the columns."""
    return float(np.sqrt(np.square(_errors(predictions)).mean(0)).mean())


def mae(predictions: Predictions) -> float:
    """mean(abs(output - target))."""
    return float(np.abs(_errors(predictions)).mean())


def r2(predictions: Predictions) -> float:
    """1 - mean((output - target)^2) / var(target); the mean over the columns."""
    if not (np.ptp(predictions.targets, axis=0) > 0).all():
        return np.nan
    variance = predictions.targets.astype(np.float64).var(0)
    return float((1 - np.square(_errors(predictions)).mean(0) / variance).mean())


def _errors(predictions: Predictions) -> Array:
    return np.asarray(predictions.outputs.astype(np.float64) - predictions.targets)
