"""What rows must be, as far as it shows without going through those that are streamed."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from adiw_tune.tasks.overlap import row_digests
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.streamed import StreamedSplit

_TWICE = 8  # rows that are read twice


def row_problems(roles: Mapping[str, Rows], classes: int) -> Iterator[str]:
    """What training could not work with in the rows of ``roles``, one line each.

    There must be 2 classes or more. Each role must have rows, labels int64 in [0, classes), and
    inputs float32 or uint8, of the shape and dtype of the first role's; finite, which is looked
    at where they are in memory. Of streamed rows one is read.
    """
    if classes < 2:
        yield f"the number of classes is {classes}: at least 2 are needed"
    examples: dict[str, Tensor] = {}
    for role, rows in roles.items():
        if len(rows) == 0:
            yield f"{role} has no rows"
            continue
        examples[role] = rows.example
        yield from _label_problems(role, rows.labels, classes)
        if examples[role].dtype not in (torch.float32, torch.uint8):
            yield f"inputs of {role} are {examples[role].dtype}: give float32 or uint8"
        elif isinstance(rows, Split) and not _finite(rows.inputs):
            yield f"{role} has inputs that are not finite"
    yield from _unlike(examples)


def unlike_twice(role: str, rows: Rows) -> Iterator[str]:
    """A problem if one of the first 8 streamed rows differs when it is read again."""
    if not isinstance(rows, StreamedSplit):
        return
    some = torch.arange(min(len(rows), _TWICE))
    first = row_digests(rows.read(some))
    # The other way round: a data set that draws in order from one seed would look alike.
    again = row_digests(rows.read(some.flip(0)))
    if first != again[::-1]:
        yield (
            f"reading a row of {role} twice gives different inputs: what is random belongs in "
            "augment(inputs)"
        )


def other_rows(first: Mapping[str, str], again: Mapping[str, str]) -> Iterator[str]:
    """A problem if rows, told by their digests, differ when they are loaded again."""
    other = [role for role, digest in first.items() if again[role] != digest]
    if other:
        yield (
            f"rows of {', '.join(other)} differ from one load to the next, so no two runs would be "
            "alike: seed every draw inside train(), test() and reference()"
        )


def _label_problems(role: str, labels: Tensor, classes: int) -> Iterator[str]:
    low, high = int(labels.min()), int(labels.max())
    if labels.dtype != torch.int64:
        yield f"labels of {role} are {labels.dtype}: give int64"
    if not 0 <= low <= high < classes:
        yield (
            f"labels of {role} run from {low} to {high}: with {classes} classes they must lie in "
            f"0 .. {classes - 1}"
        )


def _finite(inputs: Tensor) -> bool:
    # In parts: what isfinite makes on its way is as large as what it is given.
    return all(bool(some.isfinite().all()) for some in inputs.split(2048))


def _unlike(examples: Mapping[str, Tensor]) -> Iterator[str]:
    kinds = [(role, f"{list(x.shape[1:])} {x.dtype}") for role, x in examples.items()]
    for role, kind in kinds[1:]:
        first, like = kinds[0]
        if kind != like:
            yield f"inputs of {role} are {kind}, those of {first} {like}: they must be alike"
