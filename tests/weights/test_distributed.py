"""A weighter in two processes that train one network by DistributedDataParallel."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from adiw_tune import ImportanceWeighter, IndexedDataset

ROWS = 101  # they cannot be dealt evenly: one goes to both processes
Results = dict[str, Tensor]


class Weighted(nn.Module):
    """A network with the weighter as its part."""

    def __init__(self) -> None:
        super().__init__()
        # Batch norm's buffers are copied from rank 0 before each forward pass.
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.weighter = ImportanceWeighter(ROWS)

    def forward(self, x: Tensor, y: Tensor, index: Tensor, reference_losses: Tensor) -> Tensor:
        losses = cross_entropy(self.network(x), y, reduction="none")
        self.w = self.weighter(losses, reference_losses, index)
        return (self.w * losses).mean()


def train(rank: int, folder: Path) -> None:
    """Two epochs: what this process has weighed, remembers, and remembers once it has exchanged."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    rows = IndexedDataset(TensorDataset(torch.randn(ROWS, 3), torch.randint(2, (ROWS,))))
    reference_losses = torch.rand(40)
    sampler = DistributedSampler(rows)
    model = DistributedDataParallel(Weighted())
    weighter = model.module.weighter
    results: Results = {}
    for epoch in range(2):
        sampler.set_epoch(epoch)
        weighed = torch.full((ROWS,), torch.nan)
        for x, y, index in DataLoader(rows, batch_size=17, sampler=sampler):
            # Rank 1's first mini-batch cannot be weighed.
            bad = torch.nan if (rank, epoch, int(weighter.unweighed)) == (1, 0, 0) else 1
            model(x, y, index, bad * reference_losses).backward()
            weighed[index] = model.module.w
        results |= {f"weighed {epoch}": weighed, f"own {epoch}": weighter.memory.weights.clone()}
        weighter.memory.synchronize()
        results[f"exchanged {epoch}"] = weighter.memory.weights.clone()
    results["unweighed"] = weighter.unweighed
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(train, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("rank", range(2))
def test_each_process_remembers_what_it_has_weighed(ranks: list[Results], rank: int) -> None:
    results = ranks[rank]
    assert results["weighed 0"].isnan().sum() == 50
    assert torch.equal(results["own 0"], results["weighed 0"].nan_to_num(1))
    assert (results["own 0"] != 1).sum() >= 34
    others = results["weighed 1"].isnan()
    assert torch.equal(
        results["own 1"], results["weighed 1"].where(~others, results["exchanged 0"])
    )


@pytest.mark.parametrize("epoch", range(2))
def test_after_an_exchange_both_remember_all_rows(ranks: list[Results], epoch: int) -> None:
    of_both = torch.stack([results[f"weighed {epoch}"] for results in ranks]).nanmean(0)
    for results in ranks:
        torch.testing.assert_close(results[f"exchanged {epoch}"], of_both)  # no row is NaN
    assert torch.equal(*(results[f"exchanged {epoch}"] for results in ranks))


def test_rows_move_between_processes(ranks: list[Results]) -> None:
    seen = [~ranks[0][f"weighed {epoch}"].isnan() for epoch in range(2)]
    assert 10 < (seen[0] & ~seen[1]).sum() < 41


def test_each_process_counts_its_own_mini_batches_without_weights(ranks: list[Results]) -> None:
    assert [int(results["unweighed"]) for results in ranks] == [0, 1]
