"""What a task file's train(), test() and reference() give, as rows with labels of one kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from adiw_tune.errors import UserError
from adiw_tune.tasks.arrays import as_tensors
from adiw_tune.tasks.coverage import listed
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.items import read_labels
from adiw_tune.tasks.labels import as_column, as_labels
from adiw_tune.tasks.nests import Nest, named
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.streamed import stream
from adiw_tune.tasks.targets import KINDS, columns, kind_of

ROWS = "(inputs, labels), or a Dataset of such pairs"


@dataclass(frozen=True)
class Given:
    """Rows whose labels are as they came.

    Args:
        rows: with the labels of :class:`adiw_tune.tasks.labels.Labels`.
        names: of these labels, sorted; () where they are numbers.
        where: what errors call the rows.
    """

    rows: Rows
    names: tuple[str, ...]
    where: str


def taken(given: Any, where: str) -> Given:
    """Rows from what a function of the task file gave; ``where`` is what errors call it."""
    if isinstance(given, DataLoader):
        raise UserError(
            f"{where} gives a DataLoader: give its dataset, with the loader's own collate_fn, if "
            "there is one, as an attribute; the run itself shuffles, augments and numbers the rows"
        )
    given = getattr(given, "tensors", given)  # a TensorDataset is in memory already
    if isinstance(given, tuple | list):
        return _in_memory(tuple(given), where)
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise UserError(f"{where} gives {type(given).__name__}: give {ROWS}")
    labels, groups = read_labels(given, where), getattr(given, "groups", None)
    if groups is not None:
        groups = as_column(groups, f"groups of {where}", len(labels.values))
    return Given(stream(given, labels.values, groups, where), labels.names, where)


def settled(
    train: Given,
    test: Given,
    trusted: Given | None,
    targets: str | None = None,
    classes: int | None = None,
    own_loss: bool = False,
) -> Data:
    """The rows of all roles, with labels of one kind.

    Args:
        train: what train() of the task file gave. Its class names are the classes of all roles.
        test: what test() gave.
        trusted: what reference() gave; None if the file does not define it.
        targets: the kind of labels, from TARGETS; None infers it from the labels.
        classes: the number of classes, from CLASSES; None infers it from the labels.
        own_loss: whether the file defines loss(); labels of no known kind are then of kind own.
    """
    roles = [one for one in (train, test, trusted) if one is not None]
    alike = [replace(one, rows=_numbered(one, train)) for one in roles]
    labels = [one.rows.labels for one in alike if len(one.rows)]
    kind = targets or kind_of(labels) or ("own" if own_loss else None)
    if kind is None:
        raise UserError(_unknown(alike))
    if classes and kind != "classes":
        raise UserError(f"CLASSES is for classes: the labels of {train.where} are {kind}")
    rows = [one.rows.relabelled(_stored(one, kind)) for one in alike]
    return Data(
        rows=rows[0],
        test=rows[1],
        trusted=rows[2] if trusted is not None else None,
        classes=classes or _classes(kind, train.names, labels),
        targets=kind,
        names=train.names,
    )


def _numbered(given: Given, train: Given) -> Rows:
    """The rows with the numbers that names have among those of the training rows."""
    if not len(given.rows) or given.names == train.names:
        return given.rows
    if not (given.names and train.names):
        own, other = ("names", "numbers") if given.names else ("numbers", "names")
        raise UserError(
            f"labels of {given.where} are {own}, those of {train.where} {other}: give them alike"
        )
    if unknown := sorted(set(given.names) - set(train.names)):
        raise UserError(
            f"labels of {given.where} have the name '{unknown[0]}', which no label of "
            f"{train.where} has: its names are {listed(train.names)}"
        )
    places = torch.tensor([train.names.index(name) for name in given.names])
    return given.rows.relabelled(places[given.rows.labels])


def _unknown(roles: Sequence[Given]) -> str:
    told = ", ".join(
        f"{list(one.rows.labels.shape)} {one.rows.labels.dtype} of {one.where}" for one in roles
    )
    return (
        f"labels are {told}: give class numbers or names [n], 0 and 1 [n, k], or real values [n] "
        "or [n, k]; any others need a function loss(outputs, targets)"
    )


def _stored(given: Given, kind: str) -> Tensor:
    labels, dtype = given.rows.labels, KINDS[kind].dtype
    _check_names(given, kind)
    if dtype is None:
        return labels
    if labels.is_complex():
        raise UserError(
            f"labels of {given.where} are {labels.dtype}: give integers or floats, not complex "
            "numbers"
        )
    stored = labels.to(dtype)
    if dtype == torch.int64 and not torch.equal(stored.to(labels.dtype), labels):
        raise UserError(f"labels of {given.where} are no whole numbers: classes are 0, 1, ...")
    return stored


def _check_names(given: Given, kind: str) -> None:
    """Refuse names where numbers are needed: their alphabetical order would become values."""
    names = given.names
    if names and kind in ("real", "own"):
        raise UserError(
            f"labels of {given.where} are names ({listed(names)}): give numbers for {kind} targets"
        )
    if kind == "binary" and len(names) > 2:
        raise UserError(
            f"labels of {given.where} are {len(names)} names ({listed(names)}): binary targets "
            "take 2, of which the second in alphabetical order is 1"
        )


def _classes(kind: str, names: Sequence[str], labels: Sequence[Tensor]) -> int:
    if kind == "classes":
        return len(names) or max((int(some.max()) + 1 for some in labels), default=1)
    return columns(labels[0]).shape[1] if KINDS[kind].in_columns and labels else 0


def _in_memory(given: tuple[Any, ...], where: str) -> Given:
    if len(given) not in (2, 3):
        kinds = ", ".join(type(x).__name__ for x in given[:4])
        raise UserError(f"{where} gives ({kinds}): give {ROWS}")
    inputs, labels, groups = (*given, None)[:3]
    inputs = as_tensors(inputs, where)
    n = _rows(inputs, where)
    found = as_labels(labels, f"labels of {where}", n)
    groups = None if groups is None else as_column(groups, f"groups of {where}", n)
    return Given(Split(inputs, found.values, groups), found.names, where)


def _rows(inputs: Nest, where: str) -> int:
    """How many rows all tensors of ``inputs`` have."""
    tensors = list(named(inputs))
    for at, x in tensors:
        if x.ndim == 0:
            raise UserError(f"{at} of {where} are a single number: give a tensor [n, ...]")
    first, n = tensors[0][0], len(tensors[0][1])
    for at, x in tensors:
        if len(x) != n:
            raise UserError(
                f"{at} of {where} have {len(x)} rows, {first} have {n}: give as many of each"
            )
    return n
