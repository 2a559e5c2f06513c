"""λ times the mean loss of the reference mini-batch: what is added, when, and what it costs."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.training import METHODS, StepCost, TrainingRun, TrialConfig
from adiw_tune.training.config import with_changes

from . import small
from .conftest import MakeRun
from .test_loop import numbers

NOT_FOR = ("clean-only", "diw-published")
METHODS_THAT_TAKE_IT = [method for method in METHODS if method not in NOT_FOR]
KINDS: list[dict[str, Any]] = [
    *({"method": method} for method in METHODS_THAT_TAKE_IT),
    {"divergence": "auto", "representation": "feature"},
    {"network": "batch-norm"},
]


def gradients(run: TrainingRun, loss: Tensor) -> list[Tensor]:
    run.optimizer.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in run.network.parameters() if p.grad is not None]


@pytest.mark.parametrize("warm_up", [False, True])
@pytest.mark.parametrize("values", KINDS, ids=str)
def test_the_mean_loss_of_the_reference_mini_batch_is_added(
    small_run: MakeRun, values: dict[str, Any], warm_up: bool
) -> None:
    """By values and by gradients, for the whole reference split as one mini-batch."""
    with_it, without = (
        small_run(**values, reference_weight=weight, reference_size=30) for weight in (2.5, 0.0)
    )
    without.network.load_state_dict(with_it.network.state_dict())
    found, expected = [], []
    for run, seen in ((with_it, found), (without, expected)):
        run.method.begin(run._learner)
        run.network.train()
        torch.manual_seed(0)  # random deals out weights
        step = small.first_step(run)
        loss = run.method.warm_up_loss(step) if warm_up else run.method.loss(step)
        if run is without:
            reference = run.splits.reference
            logits = run._learner.look(reference, gradient=True).logits
            loss = loss + 2.5 * functional.cross_entropy(logits, reference.labels)
        seen += [loss.detach(), *gradients(run, loss)]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS_THAT_TAKE_IT)
def test_the_pass_that_sets_the_weights_is_the_one_that_is_trained_on(
    small_run: MakeRun, method: str
) -> None:
    run = small_run(method=method, reference_weight=1.0, reference_batch_size=16)
    run.method.begin(run._learner)
    seen: list[int] = []
    run.network.features.register_forward_pre_hook(
        lambda module, inputs: seen.append(len(inputs[0]))
    )
    run._step(torch.arange(24), small.in_memory(run.method.rows).take(torch.arange(24)))
    assert seen.count(16) == 1


def test_reference_rows_leave_the_running_statistics_as_they_are(small_run: MakeRun) -> None:
    states = []
    for weight in (0.0, 5.0):
        run = small_run(method="erm", network="batch-norm", reference_weight=weight)
        run.network.train()
        run.method.loss(small.first_step(run))
        states.append({k: v for k, v in run.network.state_dict().items() if "running" in k})
    assert states[0].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name])


def test_pooled_is_erm_with_the_reference_rows_trained_on(small_run: MakeRun) -> None:
    pooled, erm = small_run(method="pooled"), small_run(method="erm", reference_weight=0.1)
    assert numbers(pooled) == numbers(erm)


def test_without_it_no_reference_row_is_drawn(small_run: MakeRun) -> None:
    assert small_run(method="erm").method.reference is None


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_weigh_train_on_the_reference_rows_by_default(
    small_run: MakeRun, method: str
) -> None:
    expected = 0 if method in ("erm", *NOT_FOR) else 0.1
    assert small_run(method=method, reference_weight=None).method.reference_weight == expected


def test_rows_that_only_the_reference_set_has_are_learnt() -> None:
    """Half of the classes are gone from the training rows; reference rows bring them back."""
    values = {"task": "digits", "shift": "class-prior:100", "epochs": 10, "batch_size": 64}
    accuracies = []
    for weight in (0.0, 3.0):
        run = TrainingRun(TrialConfig(**values, method="erm", reference_weight=weight))
        while not run.finished:
            report = run.run_epoch()
        accuracies.append(report.metrics["accuracy"])
    assert accuracies[1] > accuracies[0] + 0.05


@pytest.mark.parametrize("method", NOT_FOR)
def test_methods_that_fit_the_reference_rows_anyway_take_none(method: str) -> None:
    assert TrialConfig(method=method, reference_weight=0).reference_weight == 0
    with pytest.raises(UserError, match=f"method {method} always trains on the reference rows"):
        TrialConfig(method=method, reference_weight=1)


@pytest.mark.parametrize("method", ["erm", "pooled", "clean-only", "diw-published"])
def test_another_method_has_its_own_default(method: str) -> None:
    base = TrialConfig(reference_weight=7).as_dict()
    assert with_changes(base, {"steps": 3})["reference_weight"] == 7
    assert with_changes(base, {"method": "static"})["reference_weight"] == 7
    config = TrialConfig.from_mapping(with_changes(base, {"method": method}))
    assert config.reference_weight is None
    if method in ("erm", "pooled"):
        given = {"method": method, "reference_weight": 2}
        assert TrialConfig.from_mapping(with_changes(base, given)).reference_weight == 2


def test_its_passes_are_work_in_every_epoch(small_run: MakeRun) -> None:
    run = small_run(reference_weight=1.0, warmup_epochs=1, epochs=2)
    cost = run.calibrate()
    assert 1 < cost.warm_up_ratio < cost.ratio
    known = StepCost(0.5, 3.0, warm_up_ratio=1.5)
    run = TrainingRun(run.config, step_cost=known, splits=run.splits)
    assert [run.run_epoch().work_s for _ in range(2)] == [4 * 0.75, 4 * 0.75 + 4 * 1.5]


def test_a_step_of_pooled_is_the_same_in_the_warm_up(small_run: MakeRun) -> None:
    cost = small_run(method="pooled", warmup_epochs=1).calibrate()
    assert cost.warm_up_ratio == cost.ratio > 1.1
    assert small_run(warmup_epochs=1).calibrate().warm_up_ratio == 1


def test_a_state_of_an_earlier_version_is_gone_on_from(small_run: MakeRun) -> None:
    run, expected = small_run(), small_run()
    run.run_epoch()
    state = run.state_dict()
    stream = state["method"].pop("reference._extra_state")
    state["method"]["estimator.reference._extra_state"] = stream  # where it was
    state["work"]["plain_steps"] = state["work"].pop("warm_up_steps")
    again = small_run()
    again.load_state_dict(state)
    assert numbers(again) == numbers(expected)[1:]
