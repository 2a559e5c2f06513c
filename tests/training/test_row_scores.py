"""What training says of each training row, summed over the last epochs."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from adiw_tune.tasks import TASKS, find_task
from adiw_tune.tasks.splits import Splits
from adiw_tune.training import TrainingRun, TrialConfig, load_splits
from adiw_tune.training.methods import Step
from adiw_tune.training.row_scores import ScoredRows, _read

from . import small
from .conftest import MakeRun
from .test_learning import NOISY, unflipped


def scored(run: TrainingRun) -> ScoredRows:
    """Of a run like ``run``, to its end."""
    again = TrainingRun(run.config, splits=run.splits, scored=True)
    while not again.finished:
        again.run_epoch()
    found = again.scored_rows()
    assert found is not None
    return found


@pytest.mark.parametrize("values", [{}, {"method": "diw"}, {"method": "l2rw"}, {"method": "erm"}])
def test_means_are_over_the_last_half_of_the_epochs(
    small_run: MakeRun, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the weights and probabilities of each step, written down one by one."""
    run = small_run(**values, epochs=5)
    steps: list[tuple[int, Step]] = []
    loss = type(run.method).loss

    def watched(method: Any, step: Step) -> Any:
        steps.append((again.epoch, step))
        return loss(method, step)

    monkeypatch.setattr(type(run.method), "loss", watched)
    again = TrainingRun(run.config, splits=run.splits, scored=True)
    while not again.finished:
        again.run_epoch()
    found = again.scored_rows()
    assert found is not None
    n = len(run.splits.train)
    weights, fits = [[] for _ in range(n)], [[] for _ in range(n)]
    for epoch, step in steps:
        if epoch < 2:  # of 5 the last three count
            continue
        p = step.forward.logits.detach().softmax(1).numpy()
        for place, row in enumerate(step.index.tolist()):
            label = int(step.rows.labels[place])
            fits[row].append(p[place, label])
            weights[row].append(1.0 if step.weights is None else float(step.weights[place]))
    assert {len(some) for some in fits} == {3}
    np.testing.assert_allclose(found.weight.numpy(), np.mean(weights, 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.fit.numpy(), np.mean(fits, 1), rtol=1e-5, atol=1e-6)
    assert torch.equal(found.label, run.splits.train.labels)


def test_what_the_network_took_a_row_for_is_of_the_last_epoch(small_run: MakeRun) -> None:
    run = small_run(method="erm", epochs=1, learning_rate=1e-30)
    found = scored(run)
    again = TrainingRun(run.config, splits=run.splits)  # with the weights that no update moved
    logits = again.network(small.in_memory(run.splits.train).inputs).detach()
    assert found.predicted is not None
    assert found.confidence is not None
    assert torch.equal(found.predicted, logits.argmax(1))
    torch.testing.assert_close(found.confidence, logits.softmax(1).amax(1))


def test_to_keep_them_changes_no_number_of_the_run(small_run: MakeRun) -> None:
    run = small_run()
    other = TrainingRun(run.config, splits=run.splits, scored=True)
    while not run.finished:
        assert run.run_epoch().loss == other.run_epoch().loss
    assert run.scored_rows() is None


def test_a_run_that_is_gone_on_with_has_the_same(small_run: MakeRun) -> None:
    run = small_run(epochs=4)
    whole = scored(run)
    first = TrainingRun(run.config, splits=run.splits, scored=True)
    for _ in range(3):
        first.run_epoch()
    state = copy.deepcopy(first.state_dict())
    second = TrainingRun(run.config, splits=run.splits, scored=True)
    second.load_state_dict(state)
    second.run_epoch()
    found = second.scored_rows()
    assert found is not None
    torch.testing.assert_close(found.as_dict(), whole.as_dict(), rtol=0, atol=0)


def test_measuring_steps_leaves_no_trace_in_them(small_run: MakeRun) -> None:
    run = small_run(epochs=2)
    whole = scored(run)
    measured = TrainingRun(run.config, splits=run.splits, scored=True)
    measured.calibrate()
    while not measured.finished:
        measured.run_epoch()
    found = measured.scored_rows()
    assert found is not None
    assert torch.equal(found.fit, whole.fit)
    assert torch.equal(found.weight, whole.weight)


@pytest.mark.parametrize("method", ["clean-only", "diw-published"])
def test_methods_that_train_on_other_rows_tell_of_none(small_run: MakeRun, method: str) -> None:
    run = small_run(method=method)
    again = TrainingRun(run.config, splits=run.splits, scored=True)
    again.run_epoch()
    assert again.scored_rows() is None


def test_binary_targets_are_read_label_by_label() -> None:
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    losses = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)
    fit, predicted, confidence = _read("binary", logits, labels, losses)
    p = logits.sigmoid()
    own = torch.where(labels == 1, p, 1 - p)
    torch.testing.assert_close(fit, own.mean(1))
    assert predicted.tolist() == [[1, 0], [1, 1]]
    torch.testing.assert_close(confidence, torch.maximum(p, 1 - p).mean(1))


def test_real_targets_go_by_their_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "small", small.task(load=small.load_real))
    config = TrialConfig(task="small", shift="none", batch_size=32, epochs=2)
    run = TrainingRun(config, scored=True)
    while not run.finished:
        run.run_epoch()
    found = run.scored_rows()
    assert found is not None
    assert found.predicted is not None
    assert found.predicted.shape == found.label.shape
    assert found.confidence is None
    assert bool((found.fit < 0).all())


def test_numbers_tell_which_of_the_tasks_rows_they_are() -> None:
    config = TrialConfig(task="digits", shift="class-prior:10", seed=3)
    splits: Splits = load_splits(config)
    rows = small.in_memory(find_task("digits").load(None).rows)
    assert splits.numbers is not None
    train = small.in_memory(splits.train)
    assert torch.equal(rows.inputs[splits.numbers], train.inputs)
    assert torch.equal(rows.labels[splits.numbers], train.labels)


def test_wrong_labels_have_small_probabilities_and_weights() -> None:
    run = TrainingRun(NOISY, scored=True)
    wrong = ~unflipped(run)
    while not run.finished:
        run.run_epoch()
    found = run.scored_rows()
    assert found is not None
    assert roc_auc_score(wrong, -found.fit) > 0.95
    assert roc_auc_score(wrong, -found.weight) > 0.9
