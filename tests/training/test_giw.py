"""Generalised importance weighting: rows out of the training support are found, and trained on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.tasks import TASKS, Data, Split, find_task
from adiw_tune.training import TrainingDivergedError, TrainingRun, TrialConfig
from adiw_tune.training.methods.giw import Giw, rows_in_support

from . import small
from .conftest import MakeRun
from .test_loop import numbers, same_state

INVERTED: dict[str, Any] = {
    "task": "digits-inverted",
    "shift": "group-prior:inf",
    "method": "giw",
    "epochs": 6,
    "warmup_epochs": 3,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "reference_size": 150,
    "select_size": 250,
}


def half_inverted(data_dir: Path | None) -> Data:
    """Digits of which every second one is white on black; those are group 1."""
    data = find_task("digits").load(data_dir)
    return Data(_inverted(data.rows), _inverted(data.test), data.classes)


def _inverted(rows: Any) -> Split:
    groups = torch.arange(len(rows)) % 2
    inputs = torch.where(groups.reshape(-1, 1, 1, 1) == 1, 1 - rows.inputs, rows.inputs)
    return Split(inputs, rows.labels, groups)


def halved_by_class(data_dir: Path | None) -> Data:
    """Digits of which 5 to 9 are group 1."""
    data = find_task("digits").load(data_dir)
    return Data(_by_class(data.rows), _by_class(data.test), data.classes)


def _by_class(rows: Any) -> Split:
    return Split(rows.inputs, rows.labels, (rows.labels >= 5).long())


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, load in (("digits-inverted", half_inverted), ("digits-by-class", halved_by_class)):
        task = replace(find_task("digits"), name=name, load=load)
        monkeypatch.setitem(TASKS, name, task)


def inverted_run(**values: Any) -> TrainingRun:
    return TrainingRun(TrialConfig.from_mapping({**INVERTED, **values}))


def trained(**values: Any) -> TrainingRun:
    run = inverted_run(**values)
    while not run.finished:
        run.run_epoch()
    return run


def giw(run: TrainingRun) -> Giw:
    assert isinstance(run.method, Giw)
    return run.method


def test_rows_out_of_support_are_found_and_learnt_from() -> None:
    run = trained(epochs=12, reference_weight=0.0)
    groups = run.splits.reference.groups
    assert groups is not None
    found = ~giw(run).in_support
    # Measured: 1.0 and 0.0.
    assert float(found[groups == 1].float().mean()) > 0.9
    assert float(found[groups == 0].float().mean()) < 0.2
    assert giw(run).alpha == pytest.approx(1 - float(found.float().mean()))
    adiw = trained(method="adiw", epochs=12, reference_weight=0.0)
    test = small.in_memory(run.splits.test)
    assert test.groups is not None
    others = test.take((test.groups == 1).nonzero().flatten())
    # Measured: 0.81 against 0.
    assert run.metrics(others)["accuracy"] > adiw.metrics(others)["accuracy"] + 0.5


def test_classes_that_training_lacks_are_found_in_part() -> None:
    run = inverted_run(task="digits-by-class")
    for _ in range(4):
        run.run_epoch()
    assert int(run.splits.train.labels.max()) == 4
    missing = run.splits.reference.labels >= 5
    found = ~giw(run).in_support
    # Measured: 0.45 and 0.05. To a network that has not met a class it looks like another.
    assert float(found[missing].float().mean()) > 0.25
    assert float(found[~missing].float().mean()) < 0.2


def test_where_nothing_is_missing_nearly_all_rows_are_in_support() -> None:
    run = trained(shift="none")
    assert 0.85 <= giw(run).alpha <= 1


def test_the_division_waits_for_the_warm_up_and_a_resumed_run_keeps_it(tmp_path: Path) -> None:
    whole = inverted_run()
    expected = numbers(whole)
    stopped = inverted_run()
    for epoch in range(1, 6):
        stopped.run_epoch()
        assert (giw(stopped).alpha == 1) == (epoch <= 3)
        torch.save(stopped.state_dict(), tmp_path / "state.pt")
        resumed = inverted_run()
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert torch.equal(giw(resumed).in_support, giw(stopped).in_support)
        assert giw(resumed).alpha == giw(stopped).alpha
        assert numbers(resumed) == expected[epoch:]
        assert same_state(resumed, whole)
        torch.set_rng_state(stopped.state_dict()["torch"])


def divided(run: TrainingRun, in_support: Tensor) -> TrainingRun:
    """The run with its division replaced, as loading a state does."""
    run.method.load_state_dict({**run.method.state_dict(), "in_support": in_support})
    return run


@pytest.mark.parametrize("divergence", ["mmd", "auto"])
def test_the_loss_is_adiws_within_support_and_plain_out_of_it(
    small_run: MakeRun, divergence: str
) -> None:
    inside = torch.arange(40) < 28
    run = divided(small_run(method="giw", divergence=divergence), inside)
    step = small.first_step(run)
    loss = run.method.loss(step)
    assert giw(run).alpha == 0.7

    adiw = small_run(method="adiw", divergence=divergence)
    adiw.network.load_state_dict(run.network.state_dict())
    assert not isinstance(adiw.method, Giw)
    adiw.method.reference.rows = adiw.splits.reference.take(inside.nonzero().flatten())
    weighted = adiw.method.loss(small.first_step(adiw))
    outside = run.splits.reference.take((~inside).nonzero().flatten())
    plain = functional.cross_entropy(run.network(outside.inputs), outside.labels)
    assert loss.item() == pytest.approx((0.7 * weighted + 0.3 * plain).item(), rel=1e-5)
    assert abs(weighted.item() - plain.item()) > 0.01


def test_rows_out_of_support_are_augmented_as_training_rows_are(small_run: MakeRun) -> None:
    run = divided(small_run(small.jitter, method="giw"), torch.zeros(40, dtype=torch.bool))
    step = small.first_step(run)
    reference = run.splits.reference
    torch.manual_seed(3)
    loss = run.method.loss(step)
    as_they_are = functional.cross_entropy(run.network(reference.inputs), reference.labels)
    assert loss.item() != pytest.approx(as_they_are.item(), rel=1e-4)
    torch.manual_seed(4)
    assert run.method.loss(step).item() != loss.item()


def test_all_in_support_is_adiw(small_run: MakeRun) -> None:
    run = divided(small_run(method="giw"), torch.ones(40, dtype=torch.bool))
    adiw = small_run(method="adiw")
    adiw.network.load_state_dict(run.network.state_dict())
    assert giw(run).alpha == 1
    losses = [one.method.loss(small.first_step(one)).item() for one in (run, adiw)]
    assert losses[0] == losses[1]


def test_none_in_support_trains_on_the_reference_rows_alone(small_run: MakeRun) -> None:
    run = divided(small_run(method="giw"), torch.zeros(40, dtype=torch.bool))
    assert giw(run).alpha == 0
    reference = run.splits.reference
    expected = functional.cross_entropy(run.network(reference.inputs), reference.labels)
    assert run.method.loss(small.first_step(run)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_division_loaded_into_a_run_that_has_another_replaces_it(small_run: MakeRun) -> None:
    run = divided(small_run(method="giw"), torch.zeros(40, dtype=torch.bool))
    divided(run, torch.arange(40) < 10)
    assert giw(run).alpha == 0.25
    assert len(giw(run).outside.rows) == 30
    divided(run, torch.ones(40, dtype=torch.bool))
    fresh = small_run(method="giw")
    fresh.network.load_state_dict(run.network.state_dict())
    losses = [one.method.loss(small.first_step(one)).item() for one in (run, fresh)]
    assert losses[0] == losses[1]


def directions(angles: Tensor) -> Tensor:
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_support_is_where_most_training_rows_lie() -> None:
    generator = torch.Generator().manual_seed(0)
    training = directions(torch.rand(400, generator=generator))
    within = directions(torch.rand(200, generator=generator))
    beyond = directions(1.5 + torch.rand(200, generator=generator))
    kept = rows_in_support(training, within)
    assert 0.85 < float(kept.float().mean()) <= 1
    assert not rows_in_support(training, beyond).any()
    both = rows_in_support(training, torch.cat([within, beyond]))
    assert torch.equal(both[:200], kept)  # a row's place does not hang on the others


def test_one_training_row_in_twenty_is_beyond_the_threshold() -> None:
    training = directions(torch.rand(400, generator=torch.Generator().manual_seed(1)))
    others = training[1::2]  # those that the SVM is not fitted to
    assert float(rows_in_support(training, others).float().mean()) == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("count", [2, 3])
def test_few_training_rows_will_do(count: int) -> None:
    kept = rows_in_support(directions(torch.arange(count) / 10), directions(torch.arange(4.0)))
    assert kept.shape == (4,)


def test_features_that_are_no_numbers_any_more_are_left_to_the_loop(small_run: MakeRun) -> None:
    run = small_run(method="giw")
    with torch.no_grad():
        for parameter in run.network.features.parameters():
            parameter.fill_(torch.nan)
    with pytest.raises(TrainingDivergedError):
        run.run_epoch()
