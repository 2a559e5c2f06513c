"""The training run: repeatable, resumable, and the same loop for every method."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.training import METHODS, TrainingDivergedError, TrainingRun, TrialConfig
from adiw_tune.training.methods import Forward, represent

SHORT = TrialConfig(
    shift="symmetric:0.5",
    epochs=2,
    batch_size=128,
    learning_rate=3e-3,
    reference_size=150,
    select_size=250,
)

EVERY_KIND: dict[str, dict[str, Any]] = {
    "erm": {"method": "erm"},
    "clean-only": {"method": "clean-only"},
    "diw": {"method": "diw"},
    "mmd": {"divergence": "mmd"},
    "kl": {"divergence": "kl"},
    "squared": {"divergence": "squared"},
    "wasserstein": {"divergence": "wasserstein"},
    "mmd, memory": {"warm_start": "memory"},
    "kl, decay": {"divergence": "kl", "warm_start": "decay", "decay": 0.5},
    "mmd, features": {"representation": "feature"},
    "no warm-up, band": {"warmup_epochs": 0, "slack": 0.5, "cap": 3.0},
}
for_every_kind = pytest.mark.parametrize("values", EVERY_KIND.values(), ids=EVERY_KIND.keys())


def numbers(run: TrainingRun) -> list[tuple[int, float, float]]:
    """Every epoch's number, accuracy and loss, to the end of the run."""
    reports = []
    while not run.finished:
        reports.append(run.run_epoch())
    return [(r.epoch, r.accuracy, r.loss) for r in reports]


def same_state(a: TrainingRun, b: TrainingRun) -> bool:
    first, second = a.state_dict(), b.state_dict()
    tensors = list(first["network"]) == list(second["network"]) and all(
        torch.equal(first["network"][key], second["network"][key]) for key in first["network"]
    )
    weights = all(torch.equal(first["weigher"][k], second["weigher"][k]) for k in first["weigher"])
    return tensors and weights


@for_every_kind
def test_seed_fixes_every_number(values: dict[str, Any]) -> None:
    config = replace(SHORT, **values)
    first = TrainingRun(config)
    expected = numbers(first)
    torch.rand(7)  # what else drew from the global generator must not matter
    again = TrainingRun(config)
    assert numbers(again) == expected
    assert same_state(first, again)
    assert [epoch for epoch, _, _ in expected] == [1, 2]


def test_another_seed_gives_other_numbers() -> None:
    assert numbers(TrainingRun(SHORT)) != numbers(TrainingRun(replace(SHORT, seed=1)))


@for_every_kind
@pytest.mark.parametrize("stop", [1, 2])
def test_resumed_run_gives_the_numbers_of_one_never_stopped(
    tmp_path: Path, values: dict[str, Any], stop: int
) -> None:
    config = replace(SHORT, epochs=3, **values)
    whole = TrainingRun(config)
    expected = numbers(whole)

    stopped = TrainingRun(config)
    for _ in range(stop):
        stopped.run_epoch()
    torch.save(stopped.state_dict(), tmp_path / "state.pt")
    resumed = TrainingRun(config)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.train_seconds == stopped.train_seconds
    before = stopped.report()
    assert resumed.report() == before
    assert numbers(resumed) == expected[stop:]
    assert same_state(resumed, whole)


def test_seconds_only_grow_and_count_training_alone() -> None:
    run = TrainingRun(SHORT)
    first = run.run_epoch()
    run.accuracy(run.splits.test)
    assert run.train_seconds == first.train_seconds > 0
    assert run.run_epoch().train_seconds > first.train_seconds


@pytest.mark.parametrize("divergence", ["mmd", "kl", "squared", "wasserstein"])
def test_adiw_that_never_leaves_its_warm_up_is_erm(divergence: str) -> None:
    erm = TrainingRun(replace(SHORT, method="erm"))
    adiw = TrainingRun(replace(SHORT, divergence=divergence, warmup_epochs=2))
    assert numbers(adiw) == numbers(erm)
    for a, b in zip(adiw.network.parameters(), erm.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weights_set_in_after_the_warm_up() -> None:
    erm, adiw = (numbers(TrainingRun(replace(SHORT, method=m))) for m in ("erm", "adiw"))
    assert adiw[0] == erm[0]
    assert adiw[1] != erm[1]


def test_clean_only_never_sees_the_training_rows() -> None:
    run = TrainingRun(replace(SHORT, method="clean-only"))
    assert torch.equal(run.rows.inputs, run.splits.reference.inputs)
    assert torch.equal(run.rows.labels, run.splits.reference.labels)
    run.splits.train.inputs.fill_(float("nan"))
    assert all(math.isfinite(loss) for _, _, loss in numbers(run))


@pytest.mark.parametrize("method", ["adiw", "diw", "erm"])
def test_other_methods_are_fitted_to_the_training_rows(method: str) -> None:
    run = TrainingRun(replace(SHORT, method=method))
    assert run.rows is run.splits.train
    assert len(run.rows) == 1000


@pytest.mark.parametrize("warmup_epochs", [0, 1])
@for_every_kind
def test_training_that_diverges_says_so(values: dict[str, Any], warmup_epochs: int) -> None:
    config = replace(
        SHORT, **{**values, "warmup_epochs": warmup_epochs, "learning_rate": 1e30, "epochs": 3}
    )
    with pytest.raises(TrainingDivergedError, match=r"the training loss became (nan|inf) in epoch"):
        numbers(TrainingRun(config))


@for_every_kind
def test_last_batch_of_one_row_trains(values: dict[str, Any]) -> None:
    run = TrainingRun(replace(SHORT, **values, select_size=249, batch_size=100))
    assert len(run.splits.train) % 100 == 1
    assert len(numbers(run)) == 2


@for_every_kind
def test_batches_of_one_row_train(values: dict[str, Any]) -> None:
    config = replace(
        SHORT,
        **{**values, "epochs": 1, "warmup_epochs": 0},
        reference_size=20,
        select_size=1350,
        batch_size=1,
        reference_batch_size=1,
    )
    assert len(numbers(TrainingRun(config))) == 1


def test_reference_batch_may_be_asked_larger_than_the_reference() -> None:
    config = replace(SHORT, reference_size=10, reference_batch_size=4096, warmup_epochs=0)
    assert len(numbers(TrainingRun(config))) == 2


def test_reference_batches_are_full_and_of_reference_rows_only() -> None:
    run = TrainingRun(replace(SHORT, reference_batch_size=64))
    known = {row.numpy().tobytes() for row in run.splits.reference.inputs}
    batches = run._reference_batches()
    for _ in range(7):
        batch = next(batches)
        assert len(batch) == 64
        assert {row.numpy().tobytes() for row in batch.inputs} <= known


def test_more_reference_rows_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="reference_size 5000"):
        TrainingRun(replace(SHORT, reference_size=5000))


def test_accuracy_is_the_share_of_right_labels() -> None:
    run = TrainingRun(SHORT)
    test = run.splits.test
    with torch.no_grad():
        right = run.network(test.inputs).argmax(dim=1) == test.labels
    assert run.accuracy(test) == pytest.approx(int(right.sum()) / len(test))


@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_has_as_many_updates_whatever_the_method(method: str) -> None:
    run = TrainingRun(replace(SHORT, method=method))
    run.run_epoch()
    updates = {int(state["step"]) for state in run.optimizer.state_dict()["state"].values()}
    assert updates == {8}  # 1,000 rows in batches of 128


def test_clean_only_goes_through_the_reference_again_and_again() -> None:
    order = TrainingRun(replace(SHORT, method="clean-only"))._epoch_order()
    assert len(order) == 1000
    for one_pass in order[:900].split(150):
        assert sorted(one_pass.tolist()) == list(range(150))
    assert len(set(order[900:].tolist())) == 100


def test_seed_fixes_what_dropout_will_draw() -> None:
    draws = []
    for seed in (0, 0, 1):
        TrainingRun(replace(SHORT, seed=seed))
        draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[1] != draws[2]


def test_features_stand_beside_the_label_and_losses_alone() -> None:
    run = TrainingRun(SHORT)
    source = Forward.of(run.network, run.rows[torch.arange(12)])
    target = Forward.of(run.network, run.splits.reference[torch.arange(5)])
    losses, others = represent("loss", source, target)
    assert (losses.shape, others.shape) == ((12,), (5,))
    assert torch.equal(losses, source.losses)
    z, v = represent("feature", source, target)
    assert (z.shape, v.shape) == ((12, 64 + 10), (5, 64 + 10))
    assert torch.equal(z[:, 64:].argmax(dim=1), source.labels)
    assert torch.equal(v[:, 64:].argmax(dim=1), target.labels)
    spread = (z[:, :64] - z[:, :64].mean(dim=0)).square().sum(dim=1).mean()
    assert float(spread) == pytest.approx(1, rel=1e-4)
    assert not any(tensor.requires_grad for tensor in (losses, others, z, v))
