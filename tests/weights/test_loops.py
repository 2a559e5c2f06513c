"""What training loops do around a weighter: short mini-batches, accumulation, mixed precision."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from adiw_tune import DIVERGENCES, ImportanceWeighter, IndexedDataset

ROWS = 21
GENERATOR = torch.Generator().manual_seed(0)
X, X_REF = torch.randn(ROWS, 3, generator=GENERATOR), torch.randn(30, 3, generator=GENERATOR)
Y, Y_REF = torch.arange(ROWS) % 2, torch.arange(30) % 2
TRAIN_SET = IndexedDataset(TensorDataset(X, Y))


@pytest.fixture(autouse=True)
def _the_same_networks() -> None:
    torch.manual_seed(0)


def weighted_loss(network: nn.Module, weighter: ImportanceWeighter, index: Tensor) -> Tensor:
    losses = cross_entropy(network(X[index]), Y[index], reduction="none")
    with torch.no_grad():
        reference_losses = cross_entropy(network(X_REF), Y_REF, reduction="none")
    return (weighter(losses, reference_losses, index) * losses).mean()


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_short_last_mini_batch_is_weighed_by_itself(name: str) -> None:
    network, weighter = nn.Linear(3, 2), ImportanceWeighter(ROWS, name)
    for _, _, index in DataLoader(TRAIN_SET, batch_size=9):
        weighted_loss(network, weighter, index).backward()
    for rows in weighter.memory.weights.split(9):
        assert float(rows.mean()) == pytest.approx(1, abs=1e-5)
    assert (weighter.memory.weights[18:] != 1).all()


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_mini_batch_of_one_row_has_weight_one(name: str) -> None:
    weighter = ImportanceWeighter(ROWS, name)
    weighted_loss(nn.Linear(3, 2), weighter, torch.tensor([4]))
    torch.testing.assert_close(weighter.memory.weights, torch.ones(ROWS))
    assert int(weighter.unweighed) == 0


def test_rows_that_a_loader_drops_keep_their_weights() -> None:
    network, weighter = nn.Linear(3, 2), ImportanceWeighter(ROWS)
    weighter.memory.write(torch.tensor([20]), torch.tensor([3.0]))
    for _, _, index in DataLoader(TRAIN_SET, batch_size=10, drop_last=True):
        weighted_loss(network, weighter, index).backward()
    assert weighter.memory.weights[20] == 3
    assert (weighter.memory.weights[:20] != 1).all()


def test_micro_batches_are_weighed_each_and_their_gradients_averaged() -> None:
    network, weighter = nn.Linear(3, 2), ImportanceWeighter(ROWS)
    for index in torch.arange(20).split(5):
        (weighted_loss(network, weighter, index) / 4).backward()
    w = weighter.memory.weights[:20]
    torch.testing.assert_close(w.reshape(4, 5).mean(1), torch.ones(4))
    losses = cross_entropy(network(X[:20]), Y[:20], reduction="none")
    (expected,) = torch.autograd.grad((w * losses).mean(), network.weight)
    torch.testing.assert_close(network.weight.grad, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_scaled_loss_under_autocast_has_the_weights_and_gradients_of_one_not_scaled(
    dtype: torch.dtype,
) -> None:
    network, scaler = nn.Linear(3, 2), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plain, scaled = ImportanceWeighter(ROWS), ImportanceWeighter(ROWS)
    index = torch.arange(ROWS)
    with torch.autocast("cpu", dtype):
        loss, other = (weighted_loss(network, weighter, index) for weighter in (plain, scaled))
    (expected,) = torch.autograd.grad(loss, network.weight)
    optimizer = torch.optim.SGD(network.parameters())
    scaler.scale(other).backward()
    scaler.unscale_(optimizer)
    assert torch.equal(scaled.memory.weights, plain.memory.weights)
    torch.testing.assert_close(network.weight.grad, expected, rtol=0.02, atol=1e-3)
