"""Rows too many for memory: read by worker processes when a mini-batch asks for them."""

import itertools
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adiw_tune.cores import usable_cores
from adiw_tune.errors import UserError
from adiw_tune.tasks.items import read_inputs
from adiw_tune.tasks.nests import Nest, leaves, mapped
from adiw_tune.tasks.rows import Split, digest

_LOST = (EOFError, ConnectionError, FileNotFoundError)  # a connection, or its socket
_FAILS = ("Too many open files", "Pin memory thread")  # in what the loader itself raises
_TOLD_BY = 8  # rows whose inputs stand for those of all in a digest


@dataclass(frozen=True)
class StreamedSplit:
    """Rows of a torch ``Dataset``, of which only some mini-batches are in memory at a time.

    A row read twice must be the same twice: what is random belongs in a task's ``augment``, which
    is fixed by the seed of a run and acts on the rows of training alone. So it does not matter
    how many processes read, or where a run was stopped and resumed.

    Args:
        dataset: its items are (inputs, label) pairs. The inputs are nests of tensors, all alike;
            or what its attribute ``collate_fn`` makes a mini-batch of, which is given a list of
            items and returns (inputs, labels): sequences of several lengths are padded there.
        labels: [n, ...]; they stand in for the items' own, and for those of ``collate_fn``.
        index: [n], int64: which items the rows are.
        groups: [n], int64, or None.
        device: where mini-batches go; read into pinned memory where that is CUDA.
        workers: processes that read; 0 reads in this one.
        name: what errors call the data set.
    """

    dataset: Dataset[Any]
    labels: Tensor
    index: Tensor
    groups: Tensor | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0
    name: str = "the data set"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def example(self) -> Nest:
        """The inputs of the first row, [1, ...], read in this process."""
        return self.read(torch.arange(1))

    @property
    def collated(self) -> bool:
        """Whether the data set has a ``collate_fn``."""
        return getattr(self.dataset, "collate_fn", None) is not None

    def read(self, index: Tensor) -> Nest:
        """The inputs of the rows ``index``, read in this process, on the CPU."""
        return read_inputs(self.dataset, self.index[index].tolist(), self.name)

    def take(self, index: Tensor) -> "StreamedSplit":
        """The rows ``index``."""
        index = index.cpu()
        groups = None if self.groups is None else self.groups[index]
        return replace(self, labels=self.labels[index], index=self.index[index], groups=groups)

    def relabelled(self, labels: Tensor) -> "StreamedSplit":
        """The same inputs with other labels."""
        return replace(self, labels=labels.cpu())

    def to(self, device: torch.device) -> "StreamedSplit":
        """The same rows, whose mini-batches come on ``device``."""
        return replace(self, device=device)

    def batches(self, chunks: Iterable[Tensor]) -> Iterator[Split]:
        """One mini-batch for each chunk, read ahead of its use."""
        ahead, due = itertools.tee(chunk.cpu() for chunk in chunks)
        items = (self.index[chunk].tolist() for chunk in ahead)
        for chunk, inputs in zip(due, _read_ahead(self, items), strict=True):
            groups = None if self.groups is None else self._moved(self.groups[chunk])
            yield Split(mapped(self._moved, inputs), self._moved(self.labels[chunk]), groups)

    def digest(self) -> str:
        """Of all row numbers and labels, and of the inputs of 8 rows from the first to the last.

        To read all inputs would take as long as an epoch. So it tells other rows, other labels and
        another way of reading them (a crop, a scale) from these, but may not tell one changed file.
        """
        some = torch.linspace(0, len(self) - 1, min(len(self), _TOLD_BY)).long()
        return digest(self.index, self.labels, *leaves(self.read(some)))

    def _moved(self, rows: Tensor) -> Tensor:
        """On the device, without waiting for it, for which the copy must be of pinned memory."""
        if self.device.type == "cuda":
            rows = rows.pin_memory()  # which inputs that have been read ahead are already
        return rows.to(self.device, non_blocking=True)


def stream(
    dataset: Dataset[Any], labels: Tensor, groups: Tensor | None = None, name: str | None = None
) -> StreamedSplit:
    """All of ``dataset`` as rows with these ``labels``, read by :func:`default_workers`.

    ``name`` is what errors call it; None takes the name of its class.
    """
    name = name or type(dataset).__name__
    index = torch.arange(len(labels))
    return StreamedSplit(dataset, labels, index, groups, workers=default_workers(), name=name)


def default_workers() -> int:
    """$ADIW_WORKERS, else one process for each core but one, at most 8."""
    text = os.environ.get("ADIW_WORKERS")
    if text is None:
        return min(8, usable_cores() - 1)
    if not text.isdecimal():
        raise UserError(f"ADIW_WORKERS must be a number of processes, 0 or more; got '{text}'")
    return int(text)


def _read_ahead(rows: StreamedSplit, items: Iterator[list[int]]) -> Iterator[Nest]:
    """The inputs of each mini-batch of ``items``, in order."""
    # Forked, since what a user's file defines can not be pickled for a new process.
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[Any] = DataLoader(
        _Reader(rows.dataset, rows.name),
        batch_sampler=items,
        collate_fn=_as_read,
        num_workers=rows.workers,
        multiprocessing_context="fork" if rows.workers and can_fork else None,
        pin_memory=rows.device.type == "cuda",
        generator=torch.Generator().manual_seed(0),  # else it draws from the run's own
    )
    reading: Any = None
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of threads where it forks; what is forked here starts none of them.
            warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
            reading = iter(loader)
        while (read := _next(reading)) is not None:
            if isinstance(read, UserError):
                raise read
            yield read.inputs
    except (RuntimeError, OSError, EOFError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        died = isinstance(error, _LOST) or "DataLoader worker" in why
        if isinstance(error, RuntimeError) and not died and not any(one in why for one in _FAILS):
            raise
        what = "a reading process died" if died else "reading ahead fails"
        raise UserError(
            f"{what} ({why}): give more memory or a larger /dev/shm, raise the limit on open files "
            "(ulimit -n), or set ADIW_WORKERS=0"
        ) from error
    finally:
        del reading  # its processes end now, not when the last traceback with this frame is gone


def _next(reading: Iterator[Any]) -> Any:
    """What comes next, or None at the end."""
    try:
        return next(reading, None)
    except _LOST:
        # A dying process closes its connection first. On the signal of its death the loader raises
        # wherever this process is: wait for it here, where that error is handled.
        time.sleep(1)
        raise


class _Reader(Dataset[Any]):
    """Reads the inputs of mini-batches.

    An error is handed over rather than raised: a worker process would raise it as a traceback.
    """

    def __init__(self, dataset: Dataset[Any], name: str) -> None:
        self._dataset = dataset
        self._name = name

    def __getitems__(self, items: list[int]) -> "_Read | UserError":
        try:
            return _Read(read_inputs(self._dataset, items, self._name))
        except UserError as error:
            return error

    def __getitem__(self, item: int) -> Any:
        return self._dataset[item]


@dataclass(frozen=True)
class _Read:
    """Inputs on their way: of what it does not know the loader asks how to pin it.

    Of tuples it would make lists.
    """

    inputs: Nest

    def pin_memory(self) -> "_Read":
        return _Read(mapped(lambda x: x.pin_memory(), self.inputs))


def _as_read(inputs: Any) -> Any:
    return inputs
