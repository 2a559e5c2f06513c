"""What a task file's own functions give in training: used right, or refused in one line."""

import re
from pathlib import Path

import numpy as np
import pytest

from adiw_tune.errors import UserError
from adiw_tune.tasks import find_task, main_metric
from adiw_tune.training import TrainingRun

from .test_any_batch import REAL, VALUES, run_of

SQUEEZED = """
class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, {k})
    def forward(self, x):
        return self.last(x).squeeze()

def model():
    return Squeezed()
"""


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("method", ["erm", "adiw", "static"])
def test_outputs_that_are_not_one_a_row_are_refused(tmp_path: Path, k: int, method: str) -> None:
    code = VALUES.format(targets=f"x @ drawn(9, 4, {k})", k=k) + SQUEEZED.format(k=k)
    run = run_of(tmp_path, code, method=method, batch_size=159)  # of 160 rows
    told = rf"gives outputs \[{'' if k == 1 else k}\] for 1 row: the first dimension must be 1"
    with pytest.raises(UserError, match=told):
        run.run_epoch()


def test_outputs_of_a_single_select_row_are_refused(tmp_path: Path) -> None:
    code = REAL.replace("SELECT_SIZE = 40, 40", "SELECT_SIZE = 40, 1") + SQUEEZED.format(k=1)
    run = run_of(tmp_path, code)
    with pytest.raises(UserError, match=r"gives outputs \[\] for 1 row: the first dimension must"):
        run.metrics(run.splits.select)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (
            "the loss",
            "def loss(outputs, targets):\n    {}\n    return (outputs - targets)[:, 0] ** 2",
        ),
        ("augment()", "def augment(x):\n    {}\n    return x"),
        (
            "the backward pass",
            "def hook(gradient):\n    {}\n\nclass Late(nn.Linear):\n    def forward(self, x):\n"
            "        y = super().forward(x)\n        y.requires_grad and y.register_hook(hook)\n"
            "        return y\n\ndef model():\n    return Late(4, 1)",
        ),
        (
            "the network",
            "class Late(nn.Linear):\n    def forward(self, x):\n        {}\n"
            "        return super().forward(x)\n\ndef model():\n    return Late(4, 1)",
        ),
    ],
)
def test_a_users_function_that_fails_late_is_told_in_one_line(
    tmp_path: Path, what: str, code: str
) -> None:
    values = VALUES.format(targets="x[:, :1]", k=1)
    run = run_of(tmp_path, values + "late = []\n" + code.format("assert not late, 'bad row'"))
    run.run_epoch()
    find_task(run.config.task).model.__globals__["late"].append(1)  # type: ignore[union-attr]
    with pytest.raises(UserError, match=rf"^{re.escape(what)} of task '.*' fails on a mini-batch "):
        run.run_epoch()


NO_FORWARD_MODE = """
class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x
    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient

class Twice(nn.Linear):
    def forward(self, x):
        return Doubled.apply(super().forward(x))

def model():
    return Twice(4, 1)
"""


def test_a_network_that_l2rw_cannot_differentiate_is_told_in_one_line(tmp_path: Path) -> None:
    code = VALUES.format(targets="x[:, :1]", k=1) + NO_FORWARD_MODE
    run_of(tmp_path, code).run_epoch()
    told = r"^l2rw's forward-mode differentiation of task '.*' fails on a mini-batch of \d+ rows"
    with pytest.raises(UserError, match=told) as caught:
        run_of(tmp_path, code, method="l2rw", warmup_epochs=0).run_epoch()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("targets", ["x[:, 0]", "x[:, :1]", "(x[:, 0] > 0).float()"])
@pytest.mark.parametrize("last", ["self.last(x)", "self.last(x)[:, 0]"])
def test_an_own_metric_gets_outputs_in_the_shape_of_the_targets(
    tmp_path: Path, targets: str, last: str
) -> None:
    """As [n, 1] against [n], outputs and targets would broadcast to [n, n]."""
    functions = """
def loss(outputs, targets):
    return (outputs.flatten() - targets.flatten()).square()

def metric(outputs, targets, groups):
    assert outputs.shape == targets.shape
    return (outputs - targets).abs().mean()
"""
    network = SQUEEZED.format(k=1).replace("self.last(x).squeeze()", last)
    run = run_of(tmp_path, VALUES.format(targets=targets, k=1) + network + functions)
    run.run_epoch()
    predictions = run.predictions(run.splits.select)
    right = np.abs(predictions.outputs - predictions.targets).mean()
    assert run.metrics(run.splits.select)["metric"] == pytest.approx(float(right), rel=1e-6)


COLUMN, ROW = ("x[:, 0]", "self.last(x)"), ("x[:, :1]", "self.last(x)[:, 0]")
BITS = "(x[:, 0] > 9).float()"  # all 0


def with_own_loss(folder: Path, targets: str, last: str, loss: str) -> TrainingRun:
    network = SQUEEZED.format(k=1).replace("self.last(x).squeeze()", last)
    own = f"\ndef loss(outputs, targets):\n    return {loss}\n"
    return run_of(folder, VALUES.format(targets=targets, k=1) + network + own)


@pytest.mark.parametrize(("targets", "last"), [COLUMN, ROW, (BITS, "self.last(x)")])
@pytest.mark.parametrize("dim", [0, 1])
def test_an_own_loss_that_broadcasts_rows_against_each_other_is_refused(
    tmp_path: Path, targets: str, last: str, dim: int
) -> None:
    told = r"outputs \[8.* broadcast against each other in loss\(\), so that the loss of a row"
    with pytest.raises(UserError, match=told):
        with_own_loss(tmp_path, targets, last, f"(outputs - targets).square().mean({dim})")


@pytest.mark.parametrize(
    "loss",
    [
        "(outputs[:, 0] - targets).square()",
        "(outputs.squeeze() - targets).square()",  # fails for one row
        "(outputs.flatten() - targets).square() / targets.var()",
        "(outputs.flatten() - targets).square() + torch.rand(len(targets))",
        "(outputs.reshape(targets.shape) - targets).square()",
    ],
)
def test_an_own_loss_that_does_not_broadcast_is_accepted(tmp_path: Path, loss: str) -> None:
    with_own_loss(tmp_path, *COLUMN, loss).run_epoch()


def test_an_own_metric_is_right_beside_the_losses_of_the_kind(tmp_path: Path) -> None:
    code = VALUES.format(targets="x[:, 0]", k=1) + (
        "def metric(outputs, targets, groups):\n    return (outputs - targets).square().mean()\n"
    )
    run = run_of(tmp_path, code)
    values = run.metrics(run.splits.select)
    assert values["metric"] == pytest.approx(values["rmse"] ** 2, rel=1e-5)


def test_own_targets_may_be_bfloat16(tmp_path: Path) -> None:
    code = (
        VALUES.format(targets="x.bfloat16()", k=4)
        + """
TARGETS = "own"

def loss(outputs, targets):
    assert targets.dtype == torch.bfloat16
    return (outputs - targets).square().mean(1)

def metric(outputs, targets, groups):
    return (outputs - targets).square().mean()
"""
    )
    run = run_of(tmp_path, code)
    assert main_metric(None, find_task(run.config.task), run.splits).name == "metric"
    assert run.run_epoch().metrics["metric"] > 0  # type: ignore[operator]
