"""Row numbers in the items of a data set."""

from collections import UserDict
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from adiw_tune import IndexedDataset, UserError

X, Y = torch.arange(10.0).reshape(5, 2), torch.arange(5) + 100


class InBatches(Dataset[Any]):
    """Reads mini-batches at once, and nothing else."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, row: int) -> Tensor:
        raise AssertionError

    def __getitems__(self, rows: list[int]) -> list[Tensor]:
        return list(Y[rows])


class Stream(IterableDataset[Any]):
    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[int]:
        return iter(range(5))


def test_a_loader_gives_the_row_numbers_beside_the_rows() -> None:
    rows = IndexedDataset(TensorDataset(X, Y))
    seen = []
    for x, y, index in DataLoader(rows, batch_size=2, shuffle=True):
        assert index.dtype == torch.int64
        assert torch.equal(x, X[index])
        assert torch.equal(y, Y[index])
        seen += index.tolist()
    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ((7, 8), (7, 8, 1)),
        ([7, 8], (7, 8, 1)),
        (7, (7, 1)),
        ({"x": 7}, {"x": 7, "index": 1}),
        (UserDict(x=7), {"x": 7, "index": 1}),
        ("word", ("word", 1)),
    ],
)
def test_an_item_of_any_kind_is_given_its_number(item: Any, expected: Any) -> None:
    rows = IndexedDataset([None, item])
    assert rows[1] == expected
    assert rows.__getitems__([1, 1]) == [expected, expected]


def test_items_stay_as_they_were() -> None:
    items = [{"x": 7}]
    IndexedDataset(items)[0]
    assert items == [{"x": 7}]


def test_a_negative_number_is_told_as_the_row_that_it_means() -> None:
    rows = IndexedDataset(list("abc"))
    assert rows[-1] == ("c", 2)
    assert list(rows) == [("a", 0), ("b", 1), ("c", 2)]
    with pytest.raises(IndexError):
        rows[3]


def test_a_data_set_that_reads_mini_batches_at_once_goes_on_doing_so() -> None:
    ((y, index),) = DataLoader(IndexedDataset(InBatches()), batch_size=5)
    assert torch.equal(y, Y)
    assert torch.equal(index, torch.arange(5))


def test_a_part_keeps_the_numbers_of_the_whole() -> None:
    part = Subset(IndexedDataset(TensorDataset(X, Y)), [4, 2])
    ((_, y, index),) = DataLoader(part, batch_size=2)
    assert index.tolist() == [4, 2]
    assert torch.equal(y, Y[index])


def test_the_key_of_a_number_may_be_chosen() -> None:
    taken = [{"index": 7}]
    assert IndexedDataset(taken, key="row")[0] == {"index": 7, "row": 0}
    with pytest.raises(UserError) as error:
        IndexedDataset(taken)[0]
    assert str(error.value) == (
        "item 0 has 'index' already: name row numbers otherwise, as "
        "IndexedDataset(dataset, key='row')"
    )


@pytest.mark.parametrize("dataset", [Stream(), iter([1, 2]), 5])
def test_what_has_no_rows_by_number_is_refused(dataset: Any) -> None:
    with pytest.raises(UserError, match="dataset must give rows by number, with __len__ and __get"):
        IndexedDataset(dataset)


@pytest.mark.parametrize("dataset", [TensorDataset(X, Y), InBatches()])
def test_a_negative_number_in_a_mini_batch_is_told_from_the_start(dataset: Any) -> None:
    (batch,) = DataLoader(IndexedDataset(dataset), batch_sampler=[[-1, 0]])
    assert batch[-1].tolist() == [4, 0]
    assert torch.equal(batch[-2], Y[[4, 0]])


def test_a_slice_is_no_row() -> None:
    with pytest.raises(TypeError, match="slice"):
        IndexedDataset(TensorDataset(X, Y))[1:3]  # type: ignore[index]
