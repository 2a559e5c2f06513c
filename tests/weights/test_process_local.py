"""Buffers that DistributedDataParallel does not see, and that are buffers in all else."""

import copy

import pytest
import torch
from torch import nn

from adiw_tune.weights.process_local import ProcessLocal


class Counter(ProcessLocal):
    def __init__(self) -> None:
        super().__init__()
        self.register_local_buffer("kept", torch.zeros(3))
        self.register_local_buffer("passing", torch.zeros(2, dtype=torch.int64), persistent=False)
        self.register_buffer("shared", torch.zeros(1))


def test_only_other_buffers_are_listed() -> None:
    model = nn.Sequential(Counter())
    assert [name for name, _ in model.named_buffers()] == ["0.shared"]


def test_they_move_with_the_module_and_change_its_dtype() -> None:
    counter = Counter()
    model = nn.Sequential(counter).to(torch.float64).to("meta")
    assert (counter.kept.dtype, counter.passing.dtype) == (torch.float64, torch.int64)
    assert {z.device.type for z in (counter.kept, counter.passing, counter.shared)} == {"meta"}
    assert [name for name, _ in model.named_buffers()] == ["0.shared"]


@pytest.mark.parametrize("assign", [False, True])
def test_the_persistent_ones_are_saved_and_loaded(assign: bool) -> None:
    counter, other = Counter(), nn.Sequential(Counter())
    counter.kept.add_(5)
    counter.passing.add_(7)
    state = nn.Sequential(counter).state_dict()
    assert state.keys() == {"0.kept", "0.shared"}
    other.load_state_dict(state, assign=assign)
    assert other[0].kept.tolist() == [5, 5, 5]
    assert other[0].passing.tolist() == [0, 0]


def test_a_state_that_does_not_fit_is_refused_as_ever() -> None:
    counter = Counter()
    with pytest.raises(RuntimeError, match=r"size mismatch for kept"):
        counter.load_state_dict({"kept": torch.ones(4), "shared": torch.ones(1)})
    with pytest.raises(RuntimeError, match=r'Missing key.*"kept"[^$]*Unexpected key.*"passing"'):
        counter.load_state_dict({"passing": torch.ones(2), "shared": torch.ones(1)})
    assert counter.kept.tolist() == [0, 0, 0]  # and it is still there


def test_a_copy_has_its_own() -> None:
    counter = Counter()
    twin = copy.deepcopy(counter)
    counter.kept.add_(1)
    assert twin.kept.tolist() == [0, 0, 0]
    twin.double()
    assert (twin.kept.dtype, counter.kept.dtype) == (torch.float64, torch.float32)
