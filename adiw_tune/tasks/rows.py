"""Labelled rows, held in memory or read when a mini-batch asks for them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from adiw_tune.tasks.nests import Nest, leaves, mapped

# Where all rows are gone through, evaluation included, memory bounds how many go at once.
_ROWS_AT_ONCE = 2048
_NUMBERS_AT_ONCE = 2**23  # in the inputs of these rows; a network's layers need many times that
_ALL = slice(None)


class Rows(Protocol):
    """Rows of one role. ``labels``: [n, ...], on the CPU or the device.

    Labels are what :mod:`adiw_tune.tasks.targets` says of their kind: class numbers [n], int64, or
    other targets.

    ``groups``: [n], int64, is a selected attribute of each row that a shift may act on (a colour,
    a category), 0 being the group that stays; None where rows have none.
    """

    @property
    def labels(self) -> Tensor:
        """[n, ...]."""
        ...

    @property
    def groups(self) -> Tensor | None:
        """[n], int64, or None."""
        ...

    @property
    def example(self) -> Nest:
        """The inputs of the first row, [1, ...]."""
        ...

    @property
    def collated(self) -> bool:
        """Whether a collate_fn makes the mini-batches, so that their shapes may differ."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Self:
        """The rows ``index``: [k], int64, in that order."""
        ...

    def relabelled(self, labels: Tensor) -> Self:
        """The same inputs with other ``labels``: [n, ...]."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same rows, whose mini-batches come on ``device``."""
        ...

    def batches(self, chunks: Iterable[Tensor]) -> "Iterator[Split]":
        """One mini-batch for each chunk of row numbers, in memory, on the device."""
        ...

    def digest(self) -> str:
        """16 hexadecimal digits of the rows in their order, the same on every machine."""
        ...


@dataclass(frozen=True)
class Split:
    """Rows in memory: inputs, each tensor of them [n, ...], and labels [n, ...].

    Inputs are a tensor or a nest of tensors, of any dtype that the network takes: uint8 in [0, 255]
    where it turns bytes into numbers by itself (:class:`adiw_tune.tasks.networks.FromBytes`), so
    that images take a quarter of the memory.
    """

    inputs: Nest
    labels: Tensor
    groups: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def example(self) -> Nest:
        """The inputs of the first row, [1, ...]."""
        return mapped(lambda x: x[:1], self.inputs)

    @property
    def collated(self) -> bool:
        """False: they have their shapes."""
        return False

    def take(self, index: Tensor | slice) -> "Split":
        """The rows ``index``."""
        groups = None if self.groups is None else self.groups[index]
        return Split(mapped(lambda x: x[index], self.inputs), self.labels[index], groups)

    def relabelled(self, labels: Tensor) -> "Split":
        """The same inputs with other labels."""
        return replace(self, labels=labels)

    def to(self, device: torch.device) -> "Split":
        """The same rows on ``device``."""
        groups = None if self.groups is None else self.groups.to(device)
        inputs = mapped(lambda x: x.to(device), self.inputs)
        return Split(inputs, self.labels.to(device), groups)

    def batches(self, chunks: Iterable[Tensor]) -> "Iterator[Split]":
        """One mini-batch for each chunk."""
        return (self.take(chunk.to(self.labels.device)) for chunk in chunks)

    def digest(self) -> str:
        """Of all inputs, their shapes and dtypes, and the labels."""
        return digest(*leaves(self.inputs), self.labels)


def digest(*tensors: Tensor) -> str:
    """16 hexadecimal digits that other values, shapes or dtypes do not have.

    Every tensor is [n, ...]. Which device it is on makes no difference.
    """
    known = hashlib.blake2b(digest_size=8)
    for tensor in tensors:
        known.update(f"{list(tensor.shape)} {tensor.dtype}".encode())
        known.update(as_bytes(tensor))
    return known.hexdigest()


def as_bytes(rows: Tensor) -> Any:
    """The numpy array, uint8 [n, bytes of a row], that ``rows``, [n, ...], are in memory."""
    # As bytes, since numpy has not every dtype of torch's.
    return rows.cpu().unsqueeze(1).flatten(1).contiguous().view(torch.uint8).numpy()


def at_once(rows: Rows) -> int:
    """How many of ``rows`` to go through at a time."""
    numbers = sum(x.numel() for x in leaves(rows.example))
    return max(1, min(_ROWS_AT_ONCE, _NUMBERS_AT_ONCE // max(1, numbers)))


def in_order(rows: Rows, share: slice = _ALL) -> Iterator[Split]:
    """All rows, or a share of them, from first to last, in mini-batches that fit in memory."""
    return rows.batches(torch.arange(len(rows))[share].split(at_once(rows)))


def loaded(rows: Rows) -> Split:
    """All rows at once, in memory; those of a collate_fn as one mini-batch, of one shape."""
    if rows.collated:
        (whole,) = rows.batches([torch.arange(len(rows))])
        return whole
    return concatenated(*in_order(rows))


def concatenated(*parts: Split) -> Split:
    """The rows of all parts, one part after the other; without groups if one has none."""
    groups = [part.groups for part in parts if part.groups is not None]
    return Split(
        mapped(lambda *some: torch.cat(some), *(part.inputs for part in parts)),
        torch.cat([part.labels for part in parts]),
        torch.cat(groups) if len(groups) == len(parts) else None,
    )
