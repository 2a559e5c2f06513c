"""The metrics' values, by scikit-learn. NaN is where rows have none.

scikit-learn is imported where a value is computed, not by those who only name a metric.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from adiw_tune.metrics.predictions import CLASSES, Array, Predictions


def accuracy(predictions: Predictions) -> float:
    """Share of right decisions; of several labels, over all of them."""
    right = predictions.right
    return int(right.sum()) / right.size


def balanced_accuracy(predictions: Predictions) -> float:
    """Mean recall over the classes that have rows. With several labels: mean over these."""
    from sklearn.metrics import balanced_accuracy_score

    with _quiet():
        return _mean([balanced_accuracy_score(y, said) for y, said in predictions.questions])


def macro_f1(predictions: Predictions) -> float:
    """Mean of F1 = 2 TP / (2 TP + FP + FN) over the classes; with several labels, over the labels.

    A label's F1 is that of value 1. A class that has no row and is never predicted is left out; a
    label that is never 1 and never predicted as 1 counts 0.
    """
    from sklearn.metrics import f1_score

    if len(predictions.questions) == 1:
        ((targets, said),) = predictions.questions
    else:
        targets, said = predictions.targets, predictions.decisions
    return float(f1_score(targets, said, average="macro", zero_division=0))


def auroc(predictions: Predictions) -> float:
    """Area under the ROC curve; the mean over classes, each against the rest, or over labels."""
    from sklearn.metrics import roc_auc_score

    truth = predictions.truth
    both = truth.any(0) & ~truth.all(0)
    return float(roc_auc_score(truth, predictions.scores)) if both.all() else np.nan


def average_precision(predictions: Predictions) -> float:
    """Sum over thresholds of precision times gained recall; the mean as for the ROC curve."""
    from sklearn.metrics import average_precision_score

    truth = predictions.truth
    return (
        float(average_precision_score(truth, predictions.scores)) if truth.any(0).all() else np.nan
    )


def worst_group_accuracy(predictions: Predictions) -> float:
    """The accuracy within the group where it is the lowest."""
    groups = predictions.groups
    assert groups is not None
    return float(min(predictions.right[groups == group].mean() for group in np.unique(groups)))


def log_loss(predictions: Predictions) -> float:
    """Mean of -log of the probability of what is true; of several labels, over all of them.

    A row adds 36.04 at most, as scikit-learn takes no probability to be below 2.2e-16.
    """
    from sklearn import metrics

    probabilities = np.exp(predictions.log_probabilities)
    if predictions.kind == CLASSES:
        classes = range(probabilities.shape[1])
        return float(metrics.log_loss(predictions.targets, probabilities, labels=classes))
    one = probabilities.ravel()
    return float(metrics.log_loss(predictions.targets.ravel(), one, labels=[0, 1]))


def rmse(predictions: Predictions) -> float:
    """sqrt(mean((output - target)^2)); the mean over the columns."""
    from sklearn.metrics import root_mean_squared_error

    return _of_numbers(root_mean_squared_error, predictions)


def mae(predictions: Predictions) -> float:
    """mean(abs(output - target))."""
    from sklearn.metrics import mean_absolute_error

    return _of_numbers(mean_absolute_error, predictions)


def r2(predictions: Predictions) -> float:
    """1 - mean((output - target)^2) / var(target); the mean over the columns."""
    from sklearn.metrics import r2_score

    varies = np.ptp(predictions.targets, axis=0) > 0
    return _of_numbers(r2_score, predictions) if varies.all() else np.nan


def _of_numbers(score: Callable[[Array, Array], float], predictions: Predictions) -> float:
    return float(score(predictions.targets, predictions.outputs.astype(np.float64)))


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore what scikit-learn warns of where rows are of few classes: first epochs are so."""
    with warnings.catch_warnings():
        for message in ("y_pred contains classes not in y_true", "A single label was found in"):
            warnings.filterwarnings("ignore", message, UserWarning)
        yield
