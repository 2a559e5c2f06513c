"""What rows must be, as far as it shows without going through those that are streamed."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from adiw_tune.tasks.data import Data
from adiw_tune.tasks.nests import Nest, named
from adiw_tune.tasks.overlap import row_digests
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.streamed import StreamedSplit
from adiw_tune.tasks.targets import is_binary

_READ_TWICE = 8  # rows
_READ_TWICE_COLLATED = 64  # if there is a collate_fn: enough for lengths to differ


def row_problems(data: Data) -> Iterator[str]:
    """What training could not work with in the rows of all roles, one line each.

    Of classes there must be 2 or more. Each role must have rows, labels of the data's kind, and
    inputs of the form, shapes and dtypes of the first role's; finite, which is looked at where they
    are in memory. Of streamed rows one is read, and shapes are not compared where a collate_fn
    makes the mini-batches.
    """
    if data.targets == "classes" and data.classes < 2:
        yield f"the number of classes is {data.classes}: at least 2 are needed"
    examples: dict[str, Rows] = {}
    for role, rows in data.roles.items():
        if len(rows) == 0:
            yield f"{role} has no rows"
            continue
        examples[role] = rows
        yield from _label_problems(role, rows.labels, data)
        if isinstance(rows, Split):
            yield from not_finite(role, rows.inputs)
    yield from _unlike(examples)


def not_finite(role: str, inputs: Nest) -> Iterator[str]:
    """A problem for each tensor of ``inputs`` that holds a NaN or an infinite number."""
    for at, x in named(inputs):
        # In parts: what isfinite makes on its way is as large as what it is given.
        parts = x.split(2048) if x.is_floating_point() or x.is_complex() else ()
        if not all(bool(some.isfinite().all()) for some in parts):
            yield f"{role} has {at} that are not finite"


def unlike_twice(role: str, rows: Rows) -> Iterator[str]:
    """A problem if some streamed rows, drawn at random, differ when they are read again."""
    if not isinstance(rows, StreamedSplit):
        return
    count = min(len(rows), _READ_TWICE_COLLATED if rows.collated else _READ_TWICE)
    some = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]
    first = row_digests(rows.read(some))
    # The other way round: a data set that draws in order from one seed would look alike.
    again = row_digests(rows.read(some.flip(0)))[::-1]
    if first == again:
        return
    if rows.collated and sorted(first) == sorted(again):
        yield (
            f"collate_fn of {role} reorders its items: keep their order, since labels are matched "
            "to rows by it"
        )
    else:
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


def _label_problems(role: str, labels: Tensor, data: Data) -> Iterator[str]:
    if data.targets == "classes":
        yield from _class_problems(role, labels, data.classes)
        return
    if labels.shape[1:] != data.rows.labels.shape[1:]:
        yield (
            f"targets of {role} are {list(labels.shape[1:])} a row, those of train "
            f"{list(data.rows.labels.shape[1:])}: they must be alike"
        )
    if not labels.isfinite().all():
        yield f"{role} has targets that are not finite"
    elif data.targets == "binary" and not is_binary(labels):
        yield f"targets of {role} are not all 0 or 1, as binary ones must be"
    if data.targets in ("binary", "real") and labels.ndim > 2:
        yield f"targets of {role} have shape {list(labels.shape)}: give [n] or [n, k]"


def _class_problems(role: str, labels: Tensor, classes: int) -> Iterator[str]:
    if labels.ndim != 1:
        yield f"labels of {role} have shape {list(labels.shape)}: give [n]"
    low, high = int(labels.min()), int(labels.max())
    if labels.dtype != torch.int64:
        yield f"labels of {role} are {labels.dtype}: give int64"
    if not 0 <= low <= high < classes:
        told = (
            f"labels of {role} run from {low} to {high}: with {classes} classes they must lie in "
        )
        real = '; give real values as floats, or set TARGETS = "real"' * (low < 0)
        yield f"{told}0 .. {classes - 1}{real}"


def _unlike(roles: Mapping[str, Rows]) -> Iterator[str]:
    varying = any(rows.collated for rows in roles.values())
    forms = [(role, _form(rows.example, varying)) for role, rows in roles.items()]
    for role, form in forms[1:]:
        first, like = forms[0]
        for at in sorted({*form, *like}):
            if form.get(at) != like.get(at):
                yield (
                    f"{at} of {role} are {form.get(at, 'missing')}, those of {first} "
                    f"{like.get(at, 'missing')}: they must be alike"
                )


def _form(inputs: Nest, varying: bool) -> dict[str, str]:
    """Of each tensor of one row the shape, or where that varies the number of dimensions."""
    return {
        at: f"{x.ndim - 1}-dimensional {x.dtype}" if varying else f"{list(x.shape[1:])} {x.dtype}"
        for at, x in named(inputs)
    }
