"""What a torch ``Dataset`` of (inputs, label) pairs gives, checked where it is read."""

from typing import Any

import torch
from torch.utils.data import Dataset

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks.arrays import as_tensors
from adiw_tune.tasks.labels import Labels, as_labels, labels_of_items
from adiw_tune.tasks.nests import Nest, mapped, named, shapes
from adiw_tune.text import counted

_COMPARED = 8  # items whose own labels must be those that ``targets`` tell


def read_inputs(dataset: Dataset[Any], items: list[int], name: str) -> Nest:
    """The inputs of ``items`` as one mini-batch, each tensor [len(items), ...], without a graph.

    Made by the data set's ``collate_fn``; where it has none, items are alike and are stacked.
    ``name`` is what errors call the data set, here and below.
    """
    read = [_read(dataset, item, name) for item in items]
    collate = getattr(dataset, "collate_fn", None)
    if collate is not None:
        return _collated(collate, read, items, name)
    pairs = zip(items, read, strict=True)
    inputs = [as_tensors(found[0], f"item {item} of {name}") for item, found in pairs]
    for item, x in zip(items, inputs, strict=True):
        if _form(x) != _form(inputs[0]):
            raise UserError(
                f"item {item} of {name} has {shapes(x)}, another has {shapes(inputs[0])}: make all "
                "alike, or give the data set a collate_fn that pads them"
            )
    return mapped(lambda *parts: torch.stack(parts), *inputs)


def read_labels(dataset: Dataset[Any], name: str) -> Labels:
    """The labels of all items.

    Taken from ``dataset.targets``, as torchvision's data sets have them, if the items looked at
    agree with them. Where there are none, or a ``target_transform`` changes them on the way,
    every item is read once.
    """
    n = _length(dataset, name)
    labels = _labels(dataset, n, name)
    if (now := _length(dataset, name)) != n:
        raise UserError(f"__len__ of {name} gives {n}, and then {now}: give the same each time")
    return labels


def _collated(collate: Any, read: list[Any], items: list[int], name: str) -> Nest:
    others = f" and {counted(len(items) - 1, 'other')}" if len(items) > 1 else ""
    which = f"item {items[0]}{others}"
    fails = f"collate_fn of {name} fails on {which}"
    own = [found[1] for found in read]  # now: it may sort the list that it is given
    with told_as(lambda error: f"{fails} ({in_one_line(error)}): make (inputs, labels) of a list"):
        collated = collate(read)
        inputs, labels = collated[0], collated[1]
    made = f"what collate_fn of {name} makes of {which}"
    inputs = as_tensors(inputs, made)
    for at, x in named(inputs):
        if x.device.type != "cpu":
            raise UserError(
                f"{at} of {made} are on {x.device}: leave them on the CPU, since a run moves each "
                "mini-batch to its own device"
            )
        if x.shape[:1] != (len(items),):
            raise UserError(
                f"{at} of {made} are {list(x.shape)}: the first dimension must be that of the "
                f"{len(items)} items"
            )
    if _labels_differ(labels, own):
        raise UserError(
            f"the labels that collate_fn of {name} makes of {which} are not the labels of these "
            "items: keep the items in order, and their labels unchanged"
        )
    return inputs


def _labels_differ(collated: Any, own: list[Any]) -> bool:
    """Whether collate_fn's labels differ from those of its items; False if not comparable.

    A row is trained on with its item's label, so inputs that collate_fn reorders, as by length,
    would get the labels of other items.
    """
    try:
        one, other = (as_labels(some, "labels", len(own)) for some in (collated, own))
    except UserError:
        return False  # such as tokens' labels, padded
    values = one.values
    if bool(one.names) != bool(other.names) or values.numel() != other.values.numel():
        return False  # such as numbers of names, or one-hot
    theirs = other.values.reshape(values.shape).to(values)
    if one.names == other.names and torch.equal(values, theirs):
        return False
    rounding = torch.finfo(values.dtype).eps if values.is_floating_point() else 0
    alike = torch.allclose(values, theirs, rtol=rounding, atol=0, equal_nan=True)
    return one.names != other.names or not alike


def _form(inputs: Nest) -> list[tuple[str, torch.Size, torch.dtype]]:
    return [(at, x.shape, x.dtype) for at, x in named(inputs)]


def _length(dataset: Any, name: str) -> int:
    right = "give a whole number, 0 or more"
    with told_as(lambda error: f"__len__ of {name} fails ({in_one_line(error)}): {right}"):
        return len(dataset)


def _labels(dataset: Dataset[Any], n: int, name: str) -> Labels:
    targets = getattr(dataset, "targets", None)
    if targets is None or getattr(dataset, "target_transform", None) is not None:
        return _of_items(dataset, list(range(n)), name)
    labels = as_labels(targets, f"targets of {name}", n)
    some = torch.linspace(0, n - 1, min(n, _COMPARED)).long().tolist()
    own = _of_items(dataset, some, name)
    for place, item in enumerate(some):
        if own.at(place) != labels.at(item):
            raise UserError(
                f"item {item} of {name} has the label {own.at(place)}, its targets say "
                f"{labels.at(item)}: make them agree"
            )
    return labels


def _of_items(dataset: Dataset[Any], items: list[int], name: str) -> Labels:
    return labels_of_items([_read(dataset, item, name)[1] for item in items], items, name)


def _read(dataset: Dataset[Any], item: int, name: str) -> Any:
    unread = f"item {item} of {name} cannot be read as an (inputs, label) pair"
    with told_as(lambda error: f"{unread} ({in_one_line(error)})"):
        found = dataset[item]
        found[0], found[1]
        return found
