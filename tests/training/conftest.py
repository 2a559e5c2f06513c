"""One thread: the tests share their machine. And a small task, known by name for one test."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adiw_tune.tasks import TASKS
from adiw_tune.training import TrainingRun, TrialConfig

from . import small

torch.set_num_threads(1)

MakeRun = Callable[..., TrainingRun]


@pytest.fixture
def small_run(monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    """Makes runs of the small task, by default without a warm-up.

    And without training on the reference rows, so that the loss is that of the training rows.
    """

    def make(augment: Callable[[Tensor], Tensor] | None = None, **values: object) -> TrainingRun:
        monkeypatch.setitem(TASKS, "small", small.task(augment))
        defaults = {"shift": "symmetric:0.4", "warmup_epochs": 0, "batch_size": 32, "epochs": 3}
        if values.get("method") != "pooled":
            defaults["reference_weight"] = 0.0
        return TrainingRun(TrialConfig.from_mapping({"task": "small", **defaults, **values}))

    return make
