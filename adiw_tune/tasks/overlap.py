"""Rows that stand in two roles: refused, unless the data repeats rows by itself.

The rule, for one place. Two rows are the same if their inputs are, byte for byte; labels do not
count, as those of the training rows may be wrong. Images and measurements differ in every row, so a
single one that is met in two roles has leaked. Rows of few and discrete numbers, such as Adult's,
are alike by chance: but then they are so within a role as well, and about as often. So the share of
the largest role's rows that repeat another of them tells how many rows of another role chance
explains, and what goes beyond it by four standard deviations is refused; where none repeat, that is
any row. (49 of Adult's 32,561 training rows repeat another: so of its 16,281 test rows some 24 are
expected among them. 26 are.)

The other way round, rows that repeat in the source of the reference and select rows end up in
several roles when these are drawn. If they repeat by chance, test rows meet that source as often as
its own rows do. Where test rows meet it not even half as often, four standard deviations allowed
for, the repeats are copies (a file read twice, a class oversampled) and are refused. A few copies,
too few for this to show, are told by check-task only: in large public data sets there are some, and
they are a smaller share of the select rows than those can measure.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adiw_tune.tasks.nests import Nest, leaves
from adiw_tune.tasks.rows import Rows, Split, as_bytes

_DEVIATIONS = 4  # of a Poisson count, whose variance is its mean
_NAMES = {"train": "training"}
# Rows of the first role are looked for in the second, and are to be removed from the third.
_PAIRS = (
    ("reference", "train", "train"),
    ("test", "train", "train"),
    ("reference", "test", "reference"),
)


@dataclass(frozen=True)
class Overlap:
    """Rows that are met twice.

    Args:
        line: how many, and where.
        remedy: what to do about them.
        refused: whether they are more than chance explains.
    """

    line: str
    remedy: str
    refused: bool

    @property
    def problem(self) -> str:
        """One line that says what to do."""
        return f"{self.line}: {self.remedy}"


def overlap_problems(roles: Mapping[str, Rows]) -> list[str]:
    """What must not be used, one line each, of :attr:`Data.roles`.

    Only roles in memory are compared: to read all streamed rows takes too long for the start of
    a run. :func:`check_task` reads some.
    """
    seen = {
        role: row_digests(rows.inputs) for role, rows in roles.items() if isinstance(rows, Split)
    }
    return [found.problem for found in overlaps(seen, clean_source(roles)) if found.refused]


def clean_source(roles: Mapping[str, Rows]) -> str:
    """The role that the reference and select rows are drawn from."""
    return "reference" if "reference" in roles else "train"


def row_digests(inputs: Nest) -> list[bytes]:
    """Of each row of ``inputs``, [n, ...], 16 bytes that no other inputs have."""
    parts = [as_bytes(x) for x in leaves(inputs)]
    return [_digest(row) for row in zip(*parts, strict=True)]


def _digest(row: Iterable[Any]) -> bytes:
    known = hashlib.blake2b(digest_size=16)
    for part in row:
        known.update(part)
    return known.digest()


def overlaps(seen: Mapping[str, Sequence[bytes]], source: str) -> Iterator[Overlap]:
    """What is met twice in ``seen``, the digests of the rows of train, test and reference.

    Any of these roles may be missing. ``source`` is that of the reference and select rows.
    """
    if not seen:
        return
    largest = max(seen.values(), key=len)
    chance = _repeated(largest) / len(largest)
    for role, other, place in _PAIRS:
        if role in seen and other in seen:
            count = _met(seen[role], seen[other])
            expected = chance * len(seen[role])
            line = f"{count} of {len(seen[role])} {role} rows are among the {_name(other)} rows"
            if count:
                yield Overlap(line, f"remove them from {place}", count > _most(expected))
    if source in seen and "test" in seen:
        yield from _copies(seen[source], seen["test"], source)


def _copies(rows: Sequence[bytes], test: Sequence[bytes], source: str) -> Iterator[Overlap]:
    count = _repeated(rows)
    expected = count / len(rows) * len(test)
    line = f"{count} of {len(rows)} {_name(source)} rows repeat another one"
    remedy = (
        f"keep one of each in {source}, which reference and select rows are drawn from (test rows "
        "show that they are not alike by chance)"
    )
    if count:
        yield Overlap(line, remedy, 2 * _met(test, rows) < _least(expected))


def _repeated(rows: Sequence[bytes]) -> int:
    """How many rows have a twin among the others."""
    return sum(times for times in Counter(rows).values() if times > 1)


def _met(rows: Sequence[bytes], others: Sequence[bytes]) -> int:
    known = set(others)
    return sum(row in known for row in rows)


def _most(expected: float) -> float:
    return expected + _DEVIATIONS * math.sqrt(expected)


def _least(expected: float) -> float:
    return expected - _DEVIATIONS * math.sqrt(expected)


def _name(role: str) -> str:
    return _NAMES.get(role, role)
