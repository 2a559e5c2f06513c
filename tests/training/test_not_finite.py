"""Reference rows whose loss is no number: counted and told with the epoch, or training ends."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from adiw_tune.metrics import ACCURACY
from adiw_tune.tasks import TASKS, Data, Network
from adiw_tune.terminal import epoch_line
from adiw_tune.training import TrainingDivergedError, TrainingRun, TrialConfig

from . import small

ROWS = 100  # for training: 4 mini-batches of 32 at most
COUNTED: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 4, 4]),
    ({"divergence": "kl", "warm_start": "memory"}, [0, 4, 4]),
    ({"representation": "feature"}, [0, 4, 4]),
    ({"divergence": "auto"}, [0, 4, 4]),
    ({"method": "random"}, [0, 4, 4]),
    ({"method": "static"}, [0, 4, 0]),  # estimated once, in as many groups
    ({"method": "erm"}, [0, 0, 0]),
]


def two_layers(shape: torch.Size, classes: int) -> Network:
    return Network(nn.Linear(shape[0], 8), nn.Linear(8, classes))


@pytest.fixture
def task_with_huge_reference_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their inputs are finite, as all rows' must be, and overflow in the network."""
    rows = small.rows(ROWS, seed=0)
    trusted = small.rows(40, seed=2)
    # No two alike, and so many that some are drawn.
    trusted.inputs[:36] = torch.linspace(0.9, 1, 36).unsqueeze(1) * torch.finfo(torch.float32).max
    data = Data(rows, small.rows(40, seed=1), small.CLASSES, trusted)
    task = replace(small.task(), load=lambda data_dir: data, networks={"two": two_layers})
    monkeypatch.setitem(TASKS, "huge", task)


def run_of(**values: Any) -> TrainingRun:
    usual = {"reference_size": 10, "select_size": 10, "batch_size": 32, "epochs": 3}
    usual["reference_weight"] = 0  # these rows set weights, and are not trained on
    run = TrainingRun(TrialConfig.from_mapping({"task": "huge", **usual, **values}))
    run.splits = replace(run.splits, select=small.rows(10, seed=3))  # drawn from the huge ones
    return run


@pytest.mark.usefixtures("task_with_huge_reference_rows")
@pytest.mark.parametrize(("values", "counts"), COUNTED, ids=str)
def test_mini_batches_that_were_not_weighed_are_told_with_the_epoch(
    values: dict[str, Any], counts: list[int]
) -> None:
    run = run_of(**values)
    reports = [run.run_epoch() for _ in counts]
    assert [report.unweighed for report in reports] == counts
    assert [report.as_dict()["unweighed"] for report in reports] == counts
    told = [
        "unweighed (a loss was NaN or infinite)" in epoch_line(one, 3, ACCURACY) for one in reports
    ]
    assert told == [count > 0 for count in counts]
    assert all(value.isfinite().all() for value in run.method.buffers())
    # So all of them were trained on as they are.
    plain = run_of(method="erm")
    assert [plain.run_epoch().loss for _ in counts] == [report.loss for report in reports]


@pytest.mark.usefixtures("task_with_huge_reference_rows")
def test_a_run_that_is_gone_on_with_tells_the_last_epochs_count_and_then_its_own() -> None:
    run = run_of()
    before = [run.run_epoch() for _ in range(2)][-1]
    resumed = run_of()
    resumed.load_state_dict(run.state_dict())
    assert resumed.report() == before
    assert resumed.run_epoch().unweighed == 4
    state = run.state_dict()
    del state["unweighed"]  # as an earlier version saved it
    resumed.load_state_dict(state)
    assert resumed.report().unweighed == 0


@pytest.mark.usefixtures("task_with_huge_reference_rows")
@pytest.mark.parametrize("method", ["diw", "l2rw"])
def test_methods_that_cannot_leave_it_out_end_and_say_so(method: str) -> None:
    run = run_of(method=method)
    with pytest.raises(TrainingDivergedError, match="the training loss became nan in epoch 2"):
        [run.run_epoch() for _ in range(3)]


@pytest.mark.usefixtures("task_with_huge_reference_rows")
@pytest.mark.parametrize("method", ["adiw", "pooled"])
def test_reference_rows_that_are_trained_on_end_a_run_as_training_rows_do(method: str) -> None:
    with pytest.raises(TrainingDivergedError, match="the training loss became nan in epoch 1"):
        run_of(method=method, reference_weight=None).run_epoch()


def test_outputs_that_the_last_update_of_an_epoch_made_infinite_end_the_run() -> None:
    # One update an epoch, and its loss is that before the update.
    values = {"optimizer": "sgd", "learning_rate": 1e38, "batch_size": 2000, "epochs": 1}
    run = TrainingRun(TrialConfig(task="digits", method="erm", **values))
    told = "outputs for select rows became NaN or infinite in epoch 1"
    with pytest.raises(TrainingDivergedError, match=told):
        run.run_epoch()
    assert math.isfinite(run.loss)
