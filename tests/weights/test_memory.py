"""The remembered weights."""

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.weights import WeightMemory


def test_samples_not_seen_have_weight_one() -> None:
    assert torch.equal(WeightMemory(5).read(torch.tensor([4, 0])), torch.ones(2))


def test_what_was_written_is_read_back_by_sample() -> None:
    memory = WeightMemory(5)
    memory.write(torch.tensor([3, 1]), torch.tensor([2.5, 0.0]))
    assert memory.read(torch.tensor([1, 2, 3])).tolist() == [0.0, 1.0, 2.5]


@pytest.mark.parametrize(("retention", "start"), [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0)])
def test_retention_is_the_kept_share_of_the_distance_from_one(
    retention: float, start: float
) -> None:
    memory = WeightMemory(3, retention)
    memory.write(torch.tensor([1]), torch.tensor([3.0]))
    assert memory.read(torch.arange(3)).tolist() == [1.0, start, 1.0]


def test_weights_in_double_are_kept_in_the_memorys_own_precision() -> None:
    memory = WeightMemory(2)
    memory.write(torch.tensor([0]), torch.tensor([1.25], dtype=torch.float64))
    assert memory.read(torch.tensor([0])).dtype == torch.float32
    assert memory.read(torch.tensor([0])).item() == 1.25


def test_state_dict_carries_the_weights_to_another_memory() -> None:
    memory, other = WeightMemory(4), WeightMemory(4)
    memory.write(torch.tensor([0, 3]), torch.tensor([0.25, 1.75]))
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.read(torch.arange(4)), memory.read(torch.arange(4)))


def test_moving_the_memory_moves_the_weights() -> None:
    memory = WeightMemory(4).to("meta")
    assert memory.weights.device.type == "meta"


def test_the_memory_has_nothing_to_train() -> None:
    assert list(WeightMemory(4).parameters()) == []


@pytest.mark.parametrize("retention", [-0.1, 1.1, float("nan")])
def test_retention_out_of_range_is_refused(retention: float) -> None:
    with pytest.raises(UserError, match=r"retention must lie in \[0, 1\]; got"):
        WeightMemory(3, retention)


def test_a_process_alone_has_nothing_to_exchange() -> None:
    memory = WeightMemory(3)
    memory.write(torch.tensor([1]), torch.tensor([2.0]))
    memory.synchronize()
    assert memory.read(torch.arange(3)).tolist() == [1.0, 2.0, 1.0]
