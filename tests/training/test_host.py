"""A mini-batch's step does without values on the host, so that it never waits for a GPU."""

from typing import Any

import pytest
import torch

from adiw_tune.tasks import TASKS
from adiw_tune.training import METHODS, TrainingRun, TrialConfig
from adiw_tune.training.methods.giw import Giw

from . import small

EXACT = ("diw", "diw-published")  # their solver runs on the host
ON_DEVICE: list[dict[str, Any]] = [
    *({"method": method} for method in METHODS if method not in EXACT),
    *({"divergence": divergence} for divergence in ("wasserstein", "auto")),
    {"divergence": "auto", "representation": "feature"},
    {"method": "giw", "divergence": "auto"},
    {"task": "small-real", "shift": "none", "representation": "feature"},
    {"task": "small-real", "shift": "none", "method": "l2rw"},
]


def without_values(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> TrainingRun:
    """A run on the meta device: whatever asks for a value, or mixes devices, raises there."""
    monkeypatch.setitem(TASKS, "small", small.task(small.jitter))
    monkeypatch.setitem(TASKS, "small-real", small.task(load=small.load_real))
    values = {"task": "small", **values}
    config = TrialConfig(warmup_epochs=0, reference_batch_size=16, **values)
    run = TrainingRun(config, "meta")
    if isinstance(run.method, Giw):
        run.method.alpha = 0.5  # as if it had told the reference rows apart, once, on the host
    return run


@pytest.mark.parametrize("values", ON_DEVICE, ids=str)
def test_a_step_of_training_needs_nothing_from_the_host(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = without_values(values, monkeypatch)
    for _ in range(4):  # more than one pass over the reference rows
        index = torch.arange(24, device="meta")
        (rows,) = run.method.rows.batches([index])
        assert run._step(index, rows).device.type == "meta"


@pytest.mark.parametrize("method", EXACT)
def test_the_exact_solvers_do_need_it(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = without_values({"method": method}, monkeypatch)
    index = torch.arange(24, device="meta")
    (rows,) = run.method.rows.batches([index])
    with pytest.raises((NotImplementedError, RuntimeError, TypeError)):
        run._step(index, rows)


def test_static_weights_need_nothing_from_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    run = without_values({"method": "static"}, monkeypatch)
    run.method.begin(run._learner)
