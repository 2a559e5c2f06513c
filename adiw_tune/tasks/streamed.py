"""Rows too many for memory: read by worker processes when a mini-batch asks for them."""

import itertools
import multiprocessing
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adiw_tune.errors import UserError
from adiw_tune.tasks.rows import Split, fit_at_once


@dataclass(frozen=True)
class StreamedSplit:
    """Rows of a torch ``Dataset``, of which only some mini-batches are in memory at a time.

    A row read twice must be the same twice: what is random belongs in a task's ``augment``, which
    is fixed by the seed of a run and acts on the rows of training alone. So it does not matter
    how many processes read, or where a run was stopped and resumed.

    Args:
        dataset: its items are (inputs, label) pairs, the inputs a tensor and all of one shape.
        labels: [n], int64; they stand in for the items' own.
        index: [n], int64: which items the rows are.
        groups: [n], int64, or None.
        device: where mini-batches go; read into pinned memory where that is CUDA.
        workers: processes that read; 0 reads in this one.
    """

    dataset: Dataset[Any]
    labels: Tensor
    index: Tensor
    groups: Tensor | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def at_once(self) -> int:
        """How many rows to go through at a time."""
        return fit_at_once(self._read([0]).numel())

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
            groups = None if self.groups is None else self.groups[chunk].to(self.device)
            yield Split(
                inputs.to(self.device, non_blocking=True),
                self.labels[chunk].to(self.device),
                groups,
            )

    def _read(self, rows: list[int]) -> Tensor:
        read = _Reader(self.dataset).__getitems__(self.index[rows].tolist())
        if isinstance(read, UserError):
            raise read
        return read


def stream(dataset: Dataset[Any], groups: Tensor | None = None) -> StreamedSplit:
    """All of ``dataset`` as rows, read by :func:`default_workers` processes.

    Labels are taken from its ``targets``, as torchvision's data sets have them; where it has
    none, every item is read once.
    """
    targets = getattr(dataset, "targets", None)
    if targets is None:
        targets = [_label(dataset, item) for item in range(len(dataset))]  # type: ignore[arg-type]
    labels = torch.as_tensor(targets)
    index = torch.arange(len(labels))
    return StreamedSplit(dataset, labels, index, groups, workers=default_workers())


def default_workers() -> int:
    """$ADIW_WORKERS, else one process for each core but one, at most 8."""
    text = os.environ.get("ADIW_WORKERS")
    if text is None:
        return min(8, (os.cpu_count() or 1) - 1)
    if not text.isdecimal():
        raise UserError(f"ADIW_WORKERS must be a number of processes, 0 or more; got '{text}'")
    return int(text)


def _read_ahead(rows: StreamedSplit, items: Iterator[list[int]]) -> Iterator[Tensor]:
    """The inputs of each mini-batch of ``items``, in order."""
    # Forked, since what a user's file defines can not be pickled for a new process.
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[Any] = DataLoader(
        _Reader(rows.dataset),
        batch_sampler=items,
        collate_fn=_as_read,
        num_workers=rows.workers,
        multiprocessing_context="fork" if rows.workers and can_fork else None,
        pin_memory=rows.device.type == "cuda",
        generator=torch.Generator().manual_seed(0),  # else it draws from the run's own
    )
    with warnings.catch_warnings():
        # Python 3.12 warns of threads where it forks; what is forked here starts none of them.
        warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
        reading = iter(loader)
    try:
        for read in reading:
            if isinstance(read, UserError):
                raise read
            yield read
    finally:
        del reading  # its processes end now, not when the last traceback with this frame is gone


class _Reader(Dataset[Any]):
    """Reads the inputs of mini-batches.

    An error is handed over rather than raised: a worker process would raise it as a traceback.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitems__(self, items: list[int]) -> Tensor | UserError:
        try:
            inputs = [_item(self._dataset, item)[0] for item in items]
            for item, x in zip(items, inputs, strict=True):
                _check_inputs(x, item, inputs[0])
        except UserError as error:
            return error
        return torch.stack(inputs)

    def __getitem__(self, item: int) -> Any:
        return self._dataset[item]


def _as_read(inputs: Any) -> Any:
    return inputs


def _item(dataset: Dataset[Any], item: int) -> tuple[Any, Any]:
    try:
        found = dataset[item]
        inputs, label = found[0], found[1]
    except UserError:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"item {item} of {type(dataset).__name__} cannot be read as an (inputs, label) pair "
            f"({why})"
        ) from error
    return inputs, label


def _label(dataset: Dataset[Any], item: int) -> int:
    label = _item(dataset, item)[1]
    try:
        return int(label)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"item {item} of {type(dataset).__name__} has the label {label!r}: labels are numbers"
        ) from error


def _check_inputs(inputs: Any, item: int, first: Any) -> None:
    if not isinstance(inputs, Tensor):
        raise UserError(
            f"item {item} has inputs of type {type(inputs).__name__}: make a tensor of them"
        )
    if inputs.shape != first.shape or inputs.dtype != first.dtype:
        raise UserError(
            f"item {item} has inputs {list(inputs.shape)} {inputs.dtype}, another has "
            f"{list(first.shape)} {first.dtype}: all must be alike"
        )
