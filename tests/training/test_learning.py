"""Every method really learns, and the weights tell wrong labels from right ones."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.tasks import TASKS, Split, find_task
from adiw_tune.training import TrainingRun, TrialConfig, load_splits
from adiw_tune.training.methods.adiw import Adiw
from adiw_tune.training.methods.estimator import Estimator
from tests.tasks.real_data import installed_fashion_mnist

from .small import in_memory

NOISY = TrialConfig(
    shift="symmetric:0.5",
    epochs=10,
    batch_size=128,
    learning_rate=3e-3,
    reference_size=150,
    select_size=250,
)


@cache
def trained(config: TrialConfig) -> TrainingRun:
    """The run at its end: once for all tests, which only look."""
    run = TrainingRun(config)
    while not run.finished:
        run.run_epoch()
    return run


def unflipped(run: TrainingRun) -> Tensor:
    """Which training rows kept their label: the same rows are drawn without the shift."""
    clean = load_splits(replace(run.config, shift="none")).train
    assert isinstance(clean, Split)
    assert isinstance(run.splits.train, Split)
    assert clean.inputs.equal(run.splits.train.inputs)
    return clean.labels == run.splits.train.labels


@pytest.mark.parametrize(
    "values",
    [
        {"method": "erm"},
        {"method": "clean-only"},
        {"method": "diw"},
        {"method": "diw-published"},
        {"method": "giw"},
        {"method": "l2rw"},
        {"method": "static"},
        *({"divergence": name} for name in (*DIVERGENCES, "auto")),
        {"representation": "feature"},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_half_the_labels_wrong_and_still_most_digits_are_learnt(values: dict[str, Any]) -> None:
    # Measured: 0.85 (diw) to 0.93; chance is 0.1.
    run = trained(replace(NOISY, **values))
    assert run.metrics(run.splits.test)["accuracy"] > 0.7


def last_weights(run: TrainingRun) -> Tensor:
    assert isinstance(run.method, Adiw)
    assert isinstance(run.method.estimator, Estimator)
    return run.method.estimator.weighter.memory.weights


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_weights_on_losses_tell_wrong_labels_from_right_ones(divergence: str) -> None:
    # Measured: 1.74 (energy) to 1.90 against 0.29 to 0.14.
    run = trained(replace(NOISY, divergence=divergence))
    right = unflipped(run)
    assert 0.4 < float(right.float().mean()) < 0.6
    weights = last_weights(run)
    assert float(weights[right].mean()) > 1.5
    assert float(weights[~right].mean()) < 0.5


def test_remembered_weights_tell_wrong_labels_from_right_ones() -> None:
    # Measured on two seeds: 1.67 and 1.72 against 0.36 and 0.29.
    run = trained(replace(NOISY, warm_start="memory"))
    right = unflipped(run)
    weights = last_weights(run)
    assert float(weights[right].mean()) > float(weights[~right].mean()) + 0.6


def test_pair_noise_on_fashion_mnist_costs_adiw_less_than_erm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed_fashion_mnist()
    task = find_task("fashion-mnist")
    data = task.load(None)
    few = replace(
        data,
        rows=in_memory(data.rows).take(torch.arange(12000)),
        test=in_memory(data.test).take(torch.arange(2000)),
    )
    few_pictures = replace(task, name="few-pictures", load=lambda data_dir: few)
    monkeypatch.setitem(TASKS, few_pictures.name, few_pictures)
    config = TrialConfig(
        task=few_pictures.name,
        shift="pair:0.45",
        epochs=3,
        batch_size=128,
        reference_batch_size=128,
        learning_rate=3e-3,
        reference_size=500,
        select_size=500,
    )
    adiw, erm = TrainingRun(config), TrainingRun(replace(config, method="erm"))
    adiw.run_epoch()
    # The warm-up is erm's first epoch.
    erm.load_state_dict({**adiw.state_dict(), "method": erm.method.state_dict()})
    for _ in range(2):
        adiw.run_epoch(), erm.run_epoch()
    accuracy = {
        name: run.metrics(run.splits.test)["accuracy"]
        for name, run in (("adiw", adiw), ("erm", erm))
    }
    # Measured: 0.541 and 0.746.
    assert accuracy["adiw"] > 0.68
    assert accuracy["adiw"] > accuracy["erm"] + 0.08
