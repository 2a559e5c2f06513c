"""Values against scikit-learn's, or by hand where it has none."""

from __future__ import annotations

import math
import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn import metrics as sklearn

from adiw_tune.errors import UserError
from adiw_tune.metrics import (
    ACCURACY,
    METRICS,
    Metric,
    Predictions,
    applicable,
    find_metric,
    measure,
    value_of,
)

Oracle = Callable[[np.ndarray, np.ndarray], float]


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shares / shares.sum(1, keepdims=True))


def of_classes(classes: int, seed: int, rows: int = 80) -> Predictions:
    """Better than chance; logits of one decimal, so that some are equal."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    labels[:classes] = range(classes)
    logits = rng.normal(size=(rows, classes)).astype(np.float32)
    logits[np.arange(rows), labels] += 1
    return Predictions("classes", logits.round(1), labels, rng.integers(3, size=rows))


def of_labels(labels: int, seed: int, rows: int = 80) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = rng.integers(2, size=(rows, labels))
    targets[:2] = [[0] * labels, [1] * labels]
    logits = (rng.normal(size=(rows, labels)) + 2 * targets - 1).astype(np.float32).round(1)
    return Predictions("binary", logits, targets, rng.integers(3, size=rows))


def of_numbers(shape: tuple[int, ...], seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = 50 + 9 * rng.normal(size=shape)
    return Predictions("real", (targets + rng.normal(size=shape)).astype(np.float32), targets)


def value(name: str, predictions: Predictions) -> float:
    found = value_of(METRICS[name], predictions)
    assert found is not None
    return found


CLASS_ORACLES: dict[str, Oracle] = {
    "accuracy": lambda y, z: sklearn.accuracy_score(y, z.argmax(1)),
    "balanced_accuracy": lambda y, z: sklearn.balanced_accuracy_score(y, z.argmax(1)),
    "macro_f1": lambda y, z: sklearn.f1_score(y, z.argmax(1), average="macro"),
    "auroc": lambda y, z: sklearn.roc_auc_score(
        y, softmax(z) if z.shape[1] > 2 else softmax(z)[:, 1], multi_class="ovr"
    ),
    "average_precision": lambda y, z: sklearn.average_precision_score(
        np.eye(z.shape[1])[y] if z.shape[1] > 2 else y,
        softmax(z) if z.shape[1] > 2 else softmax(z)[:, 1],
    ),
    "log_loss": lambda y, z: sklearn.log_loss(y, softmax(z), labels=range(z.shape[1])),
}
LABEL_ORACLES: dict[str, Oracle] = {
    "accuracy": lambda y, z: 1 - sklearn.hamming_loss(y, z > 0),
    "macro_f1": lambda y, z: sklearn.f1_score(y, z > 0, average="macro"),
    "balanced_accuracy": lambda y, z: np.mean(
        [sklearn.balanced_accuracy_score(y[:, j], z[:, j] > 0) for j in range(y.shape[1])]
    ),
    "auroc": lambda y, z: sklearn.roc_auc_score(y, z),
    "average_precision": lambda y, z: sklearn.average_precision_score(y, z),
    "log_loss": lambda y, z: np.mean(
        [sklearn.log_loss(y[:, j], 1 / (1 + np.exp(-z[:, j]))) for j in range(y.shape[1])]
    ),
}
REAL_ORACLES: dict[str, Oracle] = {
    "rmse": sklearn.root_mean_squared_error,
    "mae": sklearn.mean_absolute_error,
    "r2": sklearn.r2_score,
}


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("name", CLASS_ORACLES)
def test_of_classes_as_scikit_learn_has_it(name: str, classes: int) -> None:
    for seed in range(5):
        some = of_classes(classes, seed)
        expected = CLASS_ORACLES[name](some.targets, some.outputs.astype(np.float64))
        assert value(name, some) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("labels", [1, 4])
@pytest.mark.parametrize("name", LABEL_ORACLES)
def test_of_binary_targets_as_scikit_learn_has_it(name: str, labels: int) -> None:
    for seed in range(5):
        some = of_labels(labels, seed)
        expected = LABEL_ORACLES[name](some.targets, some.outputs.astype(np.float64))
        assert value(name, some) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)])
@pytest.mark.parametrize("name", REAL_ORACLES)
def test_of_real_targets_as_scikit_learn_has_it(name: str, shape: tuple[int, ...]) -> None:
    some = of_numbers(shape, 0)
    expected = REAL_ORACLES[name](some.targets, some.outputs)
    assert value(name, some) == pytest.approx(expected, rel=1e-6)


def test_the_accuracy_is_a_count_over_a_count() -> None:
    some = of_classes(3, 0, rows=77)
    assert value("accuracy", some) == int((some.outputs.argmax(1) == some.targets).sum()) / 77


def test_the_worst_group_is_the_one_with_most_mistakes() -> None:
    logits = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    labels, groups = np.array([0, 0, 1, 1, 1]), np.array([7, 7, 7, 2, 2])
    some = Predictions("classes", logits, labels, groups)
    assert value("worst_group_accuracy", some) == pytest.approx(1 / 2)
    labels = np.stack([labels, 1 - labels], 1)
    two = Predictions("binary", np.array([[1, -1]] * 5), labels, groups)
    assert value("worst_group_accuracy", two) == pytest.approx(1 / 3)


def test_a_class_that_no_row_is_of_has_no_curve_and_no_recall() -> None:
    some = of_classes(3, 0)
    kept = np.flatnonzero(some.targets != 2)
    fewer = measure(some.take(kept))
    assert fewer["auroc"] is None
    assert fewer["average_precision"] is None
    targets, decisions = some.targets[kept], some.outputs[kept].argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that classes are decided for which no row is of
        expected = sklearn.balanced_accuracy_score(targets, decisions)
    assert fewer["balanced_accuracy"] == pytest.approx(expected)
    f1 = sklearn.f1_score(targets, decisions, average="macro")
    assert fewer["macro_f1"] == pytest.approx(f1)


def test_a_network_that_is_sure_of_itself_is_still_ranked_and_its_loss_is_finite() -> None:
    logits = np.array([[0, 900], [0, 800], [0, 700], [0, 600]], np.float32)
    some = Predictions("classes", logits, np.array([1, 0, 1, 0]))
    most = -math.log(np.finfo(np.float64).eps)  # of a row, as scikit-learn has it
    assert value("log_loss", some) == pytest.approx(2 * most / 4)
    sure = Predictions("classes", logits / 10, np.array([1, 0, 1, 0]))
    assert value("auroc", sure) == pytest.approx(0.75)


def test_targets_that_are_all_the_same_have_no_r2() -> None:
    some = Predictions("real", np.array([1.0, 2.0], np.float32), np.array([3.0, 3.0]))
    assert measure(some) == {"rmse": pytest.approx(math.sqrt(2.5)), "mae": 1.5, "r2": None}


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_outputs_that_are_not_finite_have_no_metric(wrong: float) -> None:
    own = Metric("metric", compute=lambda one: float(len(one.outputs)))
    assert None not in measure(of_classes(3, 0), own).values()
    some = of_classes(3, 0)
    some.outputs[0, 0] = wrong
    assert set(measure(some, own).values()) == {None}


def test_which_apply_follows_from_the_targets_and_the_groups() -> None:
    some = of_classes(2, 0)
    names = [metric.name for metric in applicable(some)]
    assert names == [*[*CLASS_ORACLES][:5], "worst_group_accuracy", "log_loss"]
    ungrouped = Predictions("classes", some.outputs, some.targets)
    assert set(names) - set(measure(ungrouped)) == {"worst_group_accuracy"}
    own = Metric("metric", False, compute=lambda one: float(len(one.outputs)))
    assert measure(Predictions("own", some.outputs, some.targets), own) == {"metric": 80.0}


def test_each_of_the_table_lies_in_its_range_and_can_be_pickled() -> None:
    kinds = (of_classes(2, 1), of_classes(5, 1), of_labels(1, 1), of_labels(3, 1))
    for some in (*kinds, of_numbers((40, 2), 1)):
        for metric in applicable(some):
            assert metric.least <= value(metric.name, some) <= metric.most
    assert pickle.loads(pickle.dumps(METRICS)) == METRICS


def test_a_score_is_better_the_greater_it_is() -> None:
    rmse = METRICS["rmse"]
    assert ACCURACY.score(0.3) == 0.3
    assert rmse.score(3.0) == -3.0
    assert rmse.score(rmse.score(3.0)) == 3.0
    assert (ACCURACY.worst, rmse.worst) == (0, math.inf)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match="unknown metric 'f2': choose one of accuracy, balanced"):
        find_metric("f2")
    assert not find_metric("metric", greater_is_better=False).greater_is_better


@pytest.mark.parametrize("logits", [[[2, 0], [3, 0]], [[2, 0], [0, 3]]], ids=str)
def test_rows_of_one_class_have_what_needs_no_other_without_a_warning(
    logits: list[list[int]],
) -> None:
    some = Predictions("classes", np.array(logits, np.float32), np.array([0, 0]))
    values = measure(some)
    assert values["balanced_accuracy"] == values["accuracy"]
    assert (values["auroc"], values["average_precision"]) == (None, None)
    assert value("log_loss", some) > 0
