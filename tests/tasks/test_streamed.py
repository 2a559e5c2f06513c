"""Rows that are read when they are asked for: the rows that they would be in memory."""

import multiprocessing
import os
import re
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import resource_sharer
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError
from adiw_tune.tasks import Data, StreamedSplit, Task, in_order, parse_shift
from adiw_tune.tasks.networks import mlp
from adiw_tune.tasks.rows import loaded
from adiw_tune.tasks.streamed import default_workers, stream

ROWS = 60


class Numbered(Dataset[tuple[Tensor, int]]):
    """Item i holds the number i; ``change`` may spoil an item."""

    def __init__(self, change: Callable[[int, Tensor], Any] = lambda i, x: (x, i % 5)) -> None:
        self.read: list[int] = []
        self._change = change

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, item: int) -> Any:
        if item >= ROWS:
            raise IndexError(item)
        self.read.append(item)
        return self._change(item, torch.tensor([float(item), item / 7]))


def rows(workers: int = 0, dataset: Numbered | None = None) -> StreamedSplit:
    numbers = torch.arange(ROWS)
    split = stream(dataset or Numbered(), numbers % 5, groups=numbers % 3)
    return replace(split, workers=workers)


CHUNKS = [torch.tensor(chunk) for chunk in ([3, 1, 59], [0], [7, 7, 8, 2], [30])]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_mini_batches_come_in_order_whoever_reads(workers: int) -> None:
    batches = list(rows(workers).batches(CHUNKS))
    assert len(batches) == 4
    for chunk, batch in zip(CHUNKS, batches, strict=True):
        assert torch.equal(batch.inputs[:, 0], chunk.float())
        assert torch.equal(batch.labels, chunk % 5)
        assert batch.groups is not None
        assert torch.equal(batch.groups, chunk % 3)


def test_chunks_may_be_any_iterable() -> None:
    batches = rows().batches(chunk for chunk in CHUNKS)
    assert [len(batch) for batch in batches] == [3, 1, 4, 1]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    dataset = Numbered()
    batches = rows(dataset=dataset).batches(CHUNKS)
    assert dataset.read == []
    next(batches)
    assert dataset.read == [3, 1, 59]


def test_rows_taken_are_those_rows() -> None:
    some = rows().take(torch.tensor([10, 20, 5])).take(torch.tensor([2, 0]))
    batch = loaded(some)
    assert batch.inputs[:, 0].tolist() == [5, 10]
    assert batch.labels.tolist() == [0, 0]
    assert batch.groups is not None
    assert batch.groups.tolist() == [2, 1]
    assert len(some) == 2


def test_labels_given_stand_in_for_the_items_own() -> None:
    other = rows().relabelled(torch.arange(ROWS))
    (batch,) = other.batches([torch.tensor([4, 9])])
    assert batch.labels.tolist() == [4, 9]


def test_all_rows_are_gone_through_in_order() -> None:
    read = torch.cat([some.inputs[:, 0] for some in in_order(rows())])
    assert torch.equal(read, torch.arange(ROWS).float())


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_leaves_the_global_generator_alone(workers: int) -> None:
    before = torch.get_rng_state()
    list(rows(workers).batches(CHUNKS))
    assert torch.equal(torch.get_rng_state(), before)


def raising(item: int, x: Tensor) -> Any:
    if item == 7:
        raise RuntimeError("no such\nfile")
    return x, 0


def leaving(item: int, x: Tensor) -> Any:
    if item == 7:
        raise SystemExit("no such file")
    return x, 0


def of_another_shape(item: int, x: Tensor) -> Any:
    return (x[:1] if item == 7 else x), 0


def no_tensor(item: int, x: Tensor) -> Any:
    return ("seven" if item == 7 else x), 0


def sparse(item: int, x: Tensor) -> Any:
    return (x.to_sparse() if item == 7 else x), 0


def no_pair(item: int, x: Tensor) -> Any:
    return 3.0 if item == 7 else (x, 0)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (raising, r"item 7 of Spoilt cannot be read .*RuntimeError: no such file"),
        (leaving, r"item 7 of Spoilt cannot be read .*SystemExit: no such file"),
        (of_another_shape, r"item 7 of Spoilt has inputs \[1\] torch.float32, another has inp"),
        (no_tensor, "inputs of item 7 of Spoilt are of type str: give a tensor"),
        (sparse, r"inputs of item 7 of Spoilt are \[2\] torch.sparse_coo: give a dense tensor"),
        (no_pair, "item 7 of Spoilt cannot be read as an .inputs, label. pair"),
    ],
)
def test_item_that_cannot_be_read_is_named_in_one_line(
    change: Callable[[int, Tensor], Any], message: str, workers: int
) -> None:
    class Spoilt(Numbered):
        pass

    split = rows(workers, Spoilt(change))
    with pytest.raises(UserError, match=message) as caught:
        list(split.batches([torch.arange(5), torch.arange(5, 10)]))
    assert "\n" not in str(caught.value)


def test_workers_end_with_the_mini_batches_left_unread() -> None:
    batches = rows(2).batches(CHUNKS * 10)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()  # type: ignore[attr-defined]
    assert multiprocessing.active_children() == []


def test_workers_end_with_an_error_that_is_kept() -> None:
    with pytest.raises(UserError) as caught:
        list(rows(2, Numbered(raising)).batches(CHUNKS * 10))
    assert caught.traceback
    assert multiprocessing.active_children() == []


def dying(item: int, x: Tensor) -> Any:
    if item == 7:
        os._exit(3)
    return x, 0


def test_reading_process_that_dies_is_told_in_one_line() -> None:
    with pytest.raises(
        UserError, match=r"a reading process died \(.*\): give more memory"
    ) as caught:
        list(rows(2, Numbered(dying)).batches(CHUNKS))
    assert "\n" not in str(caught.value)


def read_with_few_files(queue: Any) -> None:
    used = len(os.listdir("/proc/self/fd"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, most))
    try:
        list(rows(2).batches(CHUNKS))
    except UserError as error:
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, most))
        queue.put(str(error))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux does")
def test_readers_that_cannot_start_are_told_in_one_line() -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=read_with_few_files, args=(queue,))
    process.start()
    told = queue.get(timeout=60)
    process.join()
    assert re.match(r"reading ahead fails \(.*Too many open files\): give more ", told)
    assert told.endswith("raise the limit on open files (ulimit -n), or set ADIW_WORKERS=0")


def closing_and_dying(item: int, x: Tensor) -> tuple[Tensor, int]:
    if item == 30:  # CHUNKS[3], read while CHUNKS[2] waits to be fetched from this process
        resource_sharer.stop()
        time.sleep(0.6)
        os._exit(3)
    return x, 0


def test_reading_process_that_closes_its_connection_before_it_dies_is_told() -> None:
    batches = rows(1, Numbered(closing_and_dying)).batches(CHUNKS)
    next(batches)
    next(batches)
    time.sleep(0.3)
    with pytest.raises(UserError, match=r"a reading process died \(.*\): give more memory"):
        list(batches)


def test_inputs_come_without_their_graph() -> None:
    (batch,) = rows(2, Numbered(lambda i, x: (x.requires_grad_(), 0))).batches(CHUNKS[:1])
    assert not batch.inputs.requires_grad


def test_workers_are_counted_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "3")
    assert default_workers() == 3
    monkeypatch.setenv("ADIW_WORKERS", "many")
    with pytest.raises(UserError, match=r"ADIW_WORKERS must be a number of processes.*got 'many'"):
        default_workers()
    monkeypatch.delenv("ADIW_WORKERS")
    assert 0 <= default_workers() <= 8


TASK = Task(
    name="numbered",
    load=lambda data_dir: Data(rows(), rows(), classes=5),
    networks={"mlp": mlp},
    reference_size=10,
    select_size=20,
)


def test_roles_are_drawn_from_rows_that_are_streamed() -> None:
    splits = TASK.splits(parse_shift("pair:0.5"), seed=0)
    assert [len(role) for role in (splits.train, splits.reference, splits.select)] == [30, 10, 20]
    assert isinstance(splits.train, StreamedSplit)
    train, select = loaded(splits.train), loaded(splits.select)
    true = train.inputs[:, 0].long() % 5
    assert 5 < int((train.labels != true).sum()) < 25
    assert torch.equal(select.labels, select.inputs[:, 0].long() % 5)
    seen = torch.cat([part.inputs[:, 0] for part in (train, splits.reference, select)])
    assert torch.equal(seen.sort().values, torch.arange(ROWS).float())
    assert TASK.network(splits)(splits.reference.inputs).shape == (10, 5)
