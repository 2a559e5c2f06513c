"""Roles that have few rows, or none of a class or a group."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from torch import Tensor

from adiw_tune.tasks.splits import Splits

_LISTED = 5  # classes, before the rest are counted


def coverage_remarks(splits: Splits) -> Iterator[str]:
    """Where rows are few, or a class or a group is missing, one line each."""
    train, reference, select = map(len, (splits.train, splits.reference, splits.select))
    if train < reference + select:
        yield (
            f"there are only {train} training rows, beside {reference} reference and {select} "
            "select rows: if these are taken from the training rows, lower REFERENCE_SIZE and "
            "SELECT_SIZE, or --reference-size and --select-size"
        )
    yield from _group_remarks(splits)
    if splits.targets == "classes":
        yield from _class_remarks(splits)


def _group_remarks(splits: Splits) -> Iterator[str]:
    """Groups of the test rows that no select rows are of, and the other way round.

    Training rows may have other groups: that is a shift.
    """
    select, test = splits.select, splits.test
    if select.groups is None or test.groups is None:
        return
    groups = {"select": _values(select.groups), "test": _values(test.groups)}
    for role, other in (("select", "test"), ("test", "select")):
        if lacking := sorted(groups[other] - groups[role]):
            some = listed([str(group) for group in lacking])
            yield (
                f"no {role} rows are of group{'s' if len(lacking) > 1 else ''} {some}: "
                "worst_group_accuracy leaves out what these rows lack"
            )


def _class_remarks(splits: Splits) -> Iterator[str]:
    """Which classes are missing where.

    A class is known if reference, select or test rows, whose labels are right, are of it. Training
    rows are taken as shifted: noise may fill a class that has no rows of its own, and class-prior
    leaves a row of each.
    """
    names = splits.names
    known = {
        label
        for rows in (splits.reference, splits.select, splits.test)
        for label in _values(rows.labels)
    }
    if unknown := splits.classes - len(known):
        some = (label for label in range(splits.classes) if label not in known)
        hint = "" if 0 in known or names else ": labels are to begin at 0"
        yield f"no reference, select or test rows are of {_listed(some, unknown, names)}{hint}"
    trained = _values(splits.train.labels)
    if len(trained) == 1:
        yield f"all training rows are of {_listed(trained, 1, names)}"
    elif lacking := sorted(known - trained):
        yield f"no training rows are of {_listed(lacking, len(lacking), names)}"
    for role, rows in (("reference", splits.reference), ("test", splits.test)):
        if lacking := sorted(known - _values(rows.labels)):
            yield f"no {role} rows, of {len(rows)}, are of {_listed(lacking, len(lacking), names)}"


def _values(labels: Tensor) -> set[int]:
    return set(labels.unique().tolist())


def _listed(classes: Iterable[int], count: int, names: Sequence[str]) -> str:
    """The first few of ``count`` classes by name; a class without a name by its number."""
    some = [
        names[label] if label < len(names) else str(label) for label in islice(classes, _LISTED)
    ]
    return f"class{'es' if count > 1 else ''} {listed(some, count)}"


def listed(names: Sequence[str], count: int | None = None) -> str:
    """The first few of ``count`` names, all that are given if None, and how many more."""
    count = len(names) if count is None else count
    more = f" and {count - _LISTED} more" if count > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"
