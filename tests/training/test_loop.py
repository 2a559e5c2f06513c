"""The training run: repeatable, resumable, and the same loop for every method."""

import io
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Data, Split, find_task
from adiw_tune.training import (
    METHODS,
    EpochReport,
    TrainingDivergedError,
    TrainingRun,
    TrialConfig,
)
from adiw_tune.training.learner import Learner, represent
from adiw_tune.training.stream import BatchStream

from .small import in_memory


def few_digits(data_dir: Path | None) -> Data:
    """350 rows, 250 of which are left to train on: three mini-batches of 100, 100 and 50."""
    data = find_task("digits").load(data_dir)
    rows, test = in_memory(data.rows), in_memory(data.test)
    return replace(data, rows=rows.take(torch.arange(350)), test=test.take(torch.arange(80)))


FEW_DIGITS = replace(find_task("digits"), name="few-digits", load=few_digits)
with pytest.MonkeyPatch.context() as known:
    known.setitem(TASKS, FEW_DIGITS.name, FEW_DIGITS)
    SHORT = TrialConfig(
        task=FEW_DIGITS.name,
        shift="symmetric:0.5",
        epochs=2,
        batch_size=100,
        learning_rate=3e-3,
        reference_size=50,
        reference_batch_size=20,  # so that it matters which reference rows are drawn
        select_size=50,
    )

EVERY_KIND: dict[str, dict[str, Any]] = {
    **{method: {"method": method} for method in METHODS if method != "adiw"},
    **{divergence: {"divergence": divergence} for divergence in DIVERGENCES},
    "auto": {"divergence": "auto"},
    "auto, features": {"divergence": "auto", "representation": "feature"},
    "giw, auto": {"method": "giw", "divergence": "auto"},
    "static, features": {"method": "static", "representation": "feature"},
    "mmd, memory": {"warm_start": "memory"},
    "mmd, reference rows not trained on": {"reference_weight": 0.0},
    "kl, decay": {"divergence": "kl", "warm_start": "decay", "decay": 0.5},
    "mmd, features": {"representation": "feature"},
    "no warm-up, band": {"warmup_epochs": 0, "slack": 0.5, "cap": 3.0},
    "bfloat16": {"precision": "bfloat16"},
}
for_every_kind = pytest.mark.parametrize("values", EVERY_KIND.values(), ids=EVERY_KIND.keys())
Numbers = tuple[int, float, float, dict[str, float]]


@pytest.fixture(autouse=True)
def _few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, FEW_DIGITS.name, FEW_DIGITS)


def numbers_of(report: EpochReport) -> Numbers:
    return report.epoch, report.metrics["accuracy"], report.loss, report.shares


def numbers(run: TrainingRun) -> list[Numbers]:
    """Every epoch's number, accuracy, loss and shares, to the end of the run."""
    found = []
    while not run.finished:
        found.append(numbers_of(run.run_epoch()))
    return found


@cache
def finished(config: TrialConfig) -> tuple[TrainingRun, list[Numbers]]:
    """A run that nothing was done to but training, and its numbers: once for all tests."""
    run = TrainingRun(config)
    return run, numbers(run)


@cache
def saved_on_the_way(config: TrialConfig) -> tuple[TrainingRun, list[tuple[EpochReport, bytes]]]:
    """A run, and after each epoch its report and what was saved of it: once for all tests."""
    torch.rand(7)  # what else drew from the global generator must not matter
    run, found = TrainingRun(config), []
    while not run.finished:
        report, file = run.run_epoch(), io.BytesIO()
        torch.save(run.state_dict(), file)
        found.append((report, file.getvalue()))
    return run, found


def same_state(a: TrainingRun, b: TrainingRun) -> bool:
    """Whether both stand at the same point of the same run, to the last bit."""
    first, second = a.state_dict(), b.state_dict()
    return all(
        _same(first[key], second[key]) for key in first if key not in ("train_seconds", "work")
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


@for_every_kind
def test_seed_fixes_every_number(values: dict[str, Any]) -> None:
    config = replace(SHORT, epochs=3, **values)
    first, expected = finished(config)
    again, epochs = saved_on_the_way(config)
    assert [numbers_of(report) for report, _ in epochs] == expected
    assert same_state(first, again)
    assert [epoch for epoch, *_ in expected] == [1, 2, 3]


def test_another_seed_gives_other_numbers() -> None:
    whole = replace(SHORT, epochs=3)
    assert finished(whole)[1] != numbers(TrainingRun(replace(whole, seed=1)))


@for_every_kind
@pytest.mark.parametrize("stop", [1, 2])  # right after the warm-up, and later
def test_resumed_run_gives_the_numbers_of_one_never_stopped(
    values: dict[str, Any], stop: int
) -> None:
    config = replace(SHORT, epochs=3, **values)
    whole, expected = finished(config)
    before, saved = saved_on_the_way(config)[1][stop - 1]
    resumed = TrainingRun(config)
    resumed.load_state_dict(torch.load(io.BytesIO(saved), weights_only=True))
    assert resumed.train_seconds == before.train_seconds
    assert resumed.report() == before
    assert numbers(resumed) == expected[stop:]
    assert same_state(resumed, whole)


def test_seconds_only_grow_and_count_training_alone() -> None:
    run = TrainingRun(SHORT)
    first = run.run_epoch()
    run.metrics(run.splits.test)
    assert run.train_seconds == first.train_seconds > 0
    assert run.run_epoch().train_seconds > first.train_seconds


@pytest.mark.parametrize(
    "values",
    [
        {"divergence": "mmd"},
        {"divergence": "wasserstein"},
        {"method": "random"},
        {"method": "diw"},
        {"method": "l2rw"},
        {"method": "static"},
        {"method": "giw"},
    ],
    ids=str,
)
def test_what_never_leaves_its_warm_up_is_plain_training(values: dict[str, Any]) -> None:
    pooled, expected = finished(replace(SHORT, method="pooled", epochs=3))
    other = TrainingRun(replace(SHORT, **values, epochs=3, warmup_epochs=3))
    assert numbers(other) == expected
    for a, b in zip(other.network.parameters(), pooled.network.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("method", ["adiw", "giw", "diw", "l2rw", "static", "random"])
def test_weights_set_in_after_the_warm_up(method: str) -> None:
    plain, other = (finished(replace(SHORT, method=m, epochs=3))[1] for m in ("pooled", method))
    assert other[0] == plain[0]
    assert other[1] != plain[1]


def test_clean_only_never_sees_the_training_rows() -> None:
    run = TrainingRun(replace(SHORT, method="clean-only"))
    assert torch.equal(run.method.rows.inputs, run.splits.reference.inputs)
    assert torch.equal(run.method.rows.labels, run.splits.reference.labels)
    run.splits.train.inputs.fill_(float("nan"))
    assert all(math.isfinite(loss) for _, _, loss, _ in numbers(run))


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("clean-only", "diw-published")])
def test_other_methods_are_fitted_to_the_training_rows(method: str) -> None:
    run = TrainingRun(replace(SHORT, method=method))
    assert run.method.rows is run.splits.train
    assert len(run.method.rows) == 250


def test_diw_as_published_puts_the_reference_rows_back() -> None:
    run = TrainingRun(replace(SHORT, method="diw-published"))
    inputs = torch.cat([run.splits.train.inputs, run.splits.reference.inputs])
    labels = torch.cat([run.splits.train.labels, run.splits.reference.labels])
    assert torch.equal(run.method.rows.inputs, inputs)
    assert torch.equal(run.method.rows.labels, labels)


@pytest.mark.parametrize(
    "values",
    [
        *({**values, "warmup_epochs": 0} for values in EVERY_KIND.values()),
        # What decides the weights does not matter before the warm-up ends; these do.
        {"warmup_epochs": 1},
        *({"warmup_epochs": 1, "method": name} for name in ("clean-only", "diw", "diw-published")),
        {"warmup_epochs": 1, "precision": "bfloat16"},
    ],
    ids=str,
)
def test_training_that_diverges_says_so(values: dict[str, Any]) -> None:
    config = replace(SHORT, **{**values, "learning_rate": 1e30, "epochs": 3})
    with pytest.raises(TrainingDivergedError, match=r"the training loss became (nan|inf) in epoch"):
        numbers(TrainingRun(config))


@for_every_kind
def test_last_batch_of_one_row_trains(values: dict[str, Any]) -> None:
    # 101 training rows, or 151 with the reference rows among them.
    run = TrainingRun(replace(SHORT, **values, select_size=199, batch_size=50))
    assert len(run.method.rows) % 50 == (0 if run.config.method == "clean-only" else 1)
    assert len(run._epoch_order()) % 50 == 1
    assert len(numbers(run)) == 2


@for_every_kind
def test_batches_of_one_row_train(values: dict[str, Any]) -> None:
    config = replace(
        SHORT,
        **{**values, "epochs": 1, "warmup_epochs": 0},
        reference_size=20,
        select_size=320,
        batch_size=1,
        reference_batch_size=1,
    )
    assert len(numbers(TrainingRun(config))) == 1


def test_reference_batch_may_be_asked_larger_than_the_reference() -> None:
    config = replace(SHORT, reference_size=10, reference_batch_size=4096, warmup_epochs=0)
    assert len(numbers(TrainingRun(config))) == 2


def test_a_stream_deals_full_batches_each_row_once_a_pass() -> None:
    rows = Split(torch.arange(150).unsqueeze(1), torch.arange(150))
    stream = BatchStream(rows, 64, seed=0)
    passes = [torch.cat([stream.draw().labels, stream.draw().labels]) for _ in range(4)]
    for one_pass in passes:
        assert one_pass.shape == (128,)
        assert len(set(one_pass.tolist())) == 128
    assert len({tuple(one_pass.tolist()) for one_pass in passes}) == 4


def test_a_stream_goes_on_from_its_state() -> None:
    rows = Split(torch.arange(50).unsqueeze(1), torch.arange(50))
    stream, again, other = (BatchStream(rows, 20, seed) for seed in (0, 7, 7))
    stream.draw()
    again.load_state_dict(stream.state_dict())
    for _ in range(5):
        expected = stream.draw().labels
        assert torch.equal(again.draw().labels, expected)
        assert not torch.equal(other.draw().labels, expected)


def test_more_reference_rows_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match="reference_size 5000"):
        TrainingRun(replace(SHORT, reference_size=5000))


def test_accuracy_is_the_share_of_right_labels() -> None:
    run = TrainingRun(SHORT)
    test = run.splits.test
    with torch.no_grad():
        right = run.network(test.inputs).argmax(dim=1) == test.labels
    assert run.metrics(test)["accuracy"] == pytest.approx(int(right.sum()) / len(test))


@pytest.mark.parametrize("method", METHODS)
def test_an_epoch_has_as_many_updates_whatever_the_method(method: str) -> None:
    run = TrainingRun(replace(SHORT, method=method, batch_size=60, reference_size=60))
    run.run_epoch()
    updates = {int(state["step"]) for state in run.optimizer.state_dict()["state"].values()}
    more = method == "diw-published"  # which puts 60 reference rows among the 240
    assert updates == {5 if more else 4}  # batches of 60


def test_clean_only_goes_through_the_reference_again_and_again() -> None:
    order = TrainingRun(replace(SHORT, method="clean-only", reference_size=40))._epoch_order()
    assert len(order) == 260
    for one_pass in order[:240].split(40):
        assert sorted(one_pass.tolist()) == list(range(40))
    assert len(set(order[240:].tolist())) == 20


def test_seed_fixes_what_dropout_will_draw() -> None:
    draws = []
    for seed in (0, 0, 1):
        TrainingRun(replace(SHORT, seed=seed))
        draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[1] != draws[2]


def test_features_stand_beside_the_label_and_losses_alone() -> None:
    run = TrainingRun(SHORT)
    learner = Learner(run.network)
    source = learner.forward(run.method.rows.take(torch.arange(12)))
    target = learner.forward(run.splits.reference.take(torch.arange(5)))
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
