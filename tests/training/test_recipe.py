"""Optimisers, schedules, clipping and smoothing: each as torch has it, and resumed to the digit."""

import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adiw_tune.tasks import TASKS
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.training.optimizer import OPTIMIZERS
from adiw_tune.training.saving import load_checkpoint
from adiw_tune.training.schedule import SCHEDULES
from tests.training import small

UPDATES = 3  # of an epoch: 123 training rows in mini-batches of 50


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "small", small.task())


def run_of(**values: Any) -> TrainingRun:
    return TrainingRun(TrialConfig(task="small", batch_size=50, **values))


def rates(run: TrainingRun, epochs: int) -> list[float]:
    """The learning rate of each update."""
    seen: list[float] = []
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    for _ in range(epochs):
        run.run_epoch()
    return seen


COSINE = [(1 + math.cos(math.pi * t / 12)) / 2 for t in range(12)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [1.0] * 12),
        ({"schedule": "cosine"}, COSINE),
        ({"schedule": "cosine", "lr_end": 0.2}, [0.2 + 0.8 * rate for rate in COSINE]),
        ({"schedule": "step"}, [1.0] * 6 + [0.1] * 6),
        (
            {"schedule": "step", "lr_step_epochs": 1, "lr_gamma": 0.5},
            [0.5 ** (t // UPDATES) for t in range(12)],
        ),
        ({"lr_warmup_epochs": 1}, [1 / 3, 2 / 3, *[1.0] * 10]),
        (
            {"lr_warmup_epochs": 1, "schedule": "cosine"},
            [1 / 3, 2 / 3, 1.0, *((1 + math.cos(math.pi * t / 9)) / 2 for t in range(9))],
        ),
        (
            {"lr_warmup_epochs": 2, "schedule": "step", "lr_step_epochs": 1},
            [*(t / 6 for t in range(1, 7)), *[1.0] * 3, *[0.1] * 3],
        ),
    ],
    ids=str,
)
def test_the_rate_of_each_update_is_the_schedules(
    values: dict[str, Any], expected: list[float]
) -> None:
    run = run_of(epochs=4, optimizer="sgd", learning_rate=0.5, **values)
    assert rates(run, 4) == pytest.approx([0.5 * rate for rate in expected])


def test_one_cycle_is_torchs() -> None:
    values = {"optimizer": "sgd", "momentum": 0.8, "schedule": "onecycle", "lr_rise": 0.4}
    run = run_of(epochs=4, learning_rate=0.5, **values)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 12, pct_start=0.4)
    expected = []
    for _ in range(12):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates(run, 4) == pytest.approx(expected)
    assert max(expected) == pytest.approx(0.5, rel=0.1)
    assert run.optimizer.param_groups[0]["momentum"] == 0.8


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_run_cut_early_has_seen_the_first_part(schedule: str, warm_up: int) -> None:
    if schedule == "onecycle" and warm_up:
        return
    values = {"schedule": schedule, "lr_warmup_epochs": warm_up}
    whole = rates(run_of(**values, epochs=6), 6)[: 2 * UPDATES]
    assert rates(run_of(**values, epochs=6), 2) == whole
    assert rates(run_of(**values, epochs=2, lr_epochs=6), 2) == whole


@pytest.mark.parametrize(
    "values",
    [
        *({"optimizer": name} for name in OPTIMIZERS),
        *({"schedule": name, "lr_warmup_epochs": int(name != "onecycle")} for name in SCHEDULES),
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "onecycle"},
        {"clip_norm": 0.1, "label_smoothing": 0.1, "weight_decay": 0.01},
    ],
    ids=str,
)
def test_a_resumed_run_gives_the_same_digits(values: dict[str, Any]) -> None:
    whole, first, second = (run_of(epochs=4, **values) for _ in range(3))
    reports = [whole.run_epoch() for _ in range(4)]
    first.run_epoch()
    first.calibrate()  # whose steps are taken back, also where fewer are left than it takes
    first.run_epoch()
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    load_checkpoint(second, saved.getvalue())
    for report in reports[2:]:
        assert second.run_epoch().loss == report.loss
    assert_equal(second.network.state_dict(), whole.network.state_dict())


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_checkpoint_from_before_there_were_schedules_goes_on() -> None:
    run, later = run_of(epochs=2), run_of(epochs=2)
    run.run_epoch()
    saved = io.BytesIO()
    torch.save({k: v for k, v in run.state_dict().items() if k != "schedule"}, saved)
    load_checkpoint(later, saved.getvalue())
    assert later.run_epoch().loss == run.run_epoch().loss


@pytest.mark.parametrize(
    ("values", "make"),
    [
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, 0.01)),
        ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, 0.01)),
        (
            {"optimizer": "adamw", "weight_decay": 0.3},
            lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3),
        ),
        (
            {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        ),
    ],
    ids=["adam", "adamw", "decay", "nesterov"],
)
def test_updates_are_torchs(values: dict[str, Any], make: Any) -> None:
    run = run_of(method="erm", learning_rate=0.01, **values)
    own, other = run.network, run_of(method="erm").network  # the same seed, the same weights
    optimizer = make(list(other.parameters()))
    rows = small.first_step(run).rows
    for _ in range(3):
        run._step(torch.arange(24), rows)
        optimizer.zero_grad()
        nn.functional.cross_entropy(other(rows.inputs), rows.labels).backward()
        optimizer.step()
    for one, two in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_gradients_are_clipped_to_the_norm() -> None:
    free, clipped = (
        run_of(method="erm", optimizer="sgd", learning_rate=1.0, clip_norm=norm)
        for norm in (None, 0.01)
    )
    before = nn.utils.parameters_to_vector(free.network.parameters()).detach()
    for run in (free, clipped):
        run._step(torch.arange(24), small.first_step(run).rows)
    moved = [
        nn.utils.parameters_to_vector(run.network.parameters()).detach() - before
        for run in (free, clipped)
    ]
    assert moved[0].norm() > 0.1
    assert moved[1].norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(moved[1] / 0.01, moved[0] / moved[0].norm(), rtol=1e-3, atol=1e-4)


def test_smoothed_losses_weigh_and_train() -> None:
    run = run_of(label_smoothing=0.2)
    step = small.first_step(run)
    logits = step.forward.logits
    sharp = nn.functional.cross_entropy(logits, step.rows.labels, reduction="none")
    even = -logits.log_softmax(1).mean(1)
    torch.testing.assert_close(step.forward.losses, 0.8 * sharp + 0.2 * even)
