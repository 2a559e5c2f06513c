"""Shifts as a user writes them."""

from collections.abc import Callable
from pathlib import Path

from adiw_tune.errors import UserError
from adiw_tune.tasks.label_files import ENDINGS
from adiw_tune.tasks.shifts import (
    ClassPrior,
    GivenLabels,
    GroupPrior,
    InTurn,
    NoShift,
    PairNoise,
    Shift,
    SymmetricNoise,
)

# What a user writes before the colon: the shift, and the numbers that it takes.
_RATES: dict[str, Callable[[float], Shift]] = {"symmetric": SymmetricNoise, "pair": PairNoise}
_RATIOS: dict[str, Callable[[float], Shift]] = {
    "class-prior": ClassPrior,
    "group-prior": GroupPrior,
}
_LABELS = "labels:"
_KINDS = {*_RATES, *_RATIOS, "labels"}


def parse_shift(text: str) -> Shift:
    """The shift written as ``none`` or as one or more of these, joined by ``+``.

    ``symmetric:R``, ``pair:R`` with R, the rate of wrong labels, in [0, 1); ``class-prior:RHO``
    with RHO, the ratio of class sizes, at least 1 and finite; ``group-prior:RHO`` with RHO at
    least 1, or ``inf``; ``labels:FILE#COLUMN``, labels that stand in a file, see
    :func:`adiw_tune.tasks.label_files.labels_from`, and ``labels:#NAME``, others of the task's own.
    """
    if text == "none":
        return NoShift()
    parts = tuple(_parse_one(part) for part in _parts(text))
    return parts[0] if len(parts) == 1 else InTurn(parts)


def located_shift(text: str, folder: Path) -> str:
    """The same shift, where paths in ``text`` that are relative are from ``folder``: absolute."""
    return "+".join(_located(part, folder) for part in _parts(text))


def shift_files(text: str) -> list[str]:
    """The files that a shift, which can be parsed, takes labels from."""
    named = [_file_and_column(part)[0] for part in _parts(text) if part.startswith(_LABELS)]
    return [file for file in named if file]


def _parts(text: str) -> list[str]:
    """What is joined by +; one in the path of a file joins nothing, unless a shift follows it."""
    parts: list[str] = []
    for part in text.split("+"):
        if parts and parts[-1].startswith(_LABELS) and part.partition(":")[0] not in _KINDS:
            parts[-1] += "+" + part
        else:
            parts.append(part)
    return parts


def _located(part: str, folder: Path) -> str:
    if not part.startswith(_LABELS):
        return part
    file, column = _file_and_column(part)
    return f"{_LABELS}{folder / file if file else ''}{'#' * bool(column)}{column}"


def _file_and_column(part: str) -> tuple[str, str]:
    file, mark, column = part.removeprefix(_LABELS).rpartition("#")
    return (file, column) if mark else (column, "")


def _parse_labels(text: str) -> Shift:
    file, column = _file_and_column(text)
    if not column and not file.endswith(".npy"):
        raise UserError(f"shift '{text}' names no column: write labels:FILE#COLUMN")
    if file and not file.endswith(ENDINGS):
        raise UserError(f"file of shift '{text}' must end in {', '.join(ENDINGS)}")
    return GivenLabels(file, column)


def _parse_one(text: str) -> Shift:
    kind, _, number = text.partition(":")
    if kind not in _KINDS:
        raise UserError(
            f"unknown shift '{text}': write none, symmetric:R, pair:R, class-prior:RHO, "
            "group-prior:RHO or labels:FILE#COLUMN, for example pair:0.45, or several joined by +"
        )
    if kind == "labels":
        return _parse_labels(text)
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"shift '{text}' needs a number after the colon, like {kind}:0.4") from None
    if kind in _RATES:
        if not 0 <= value < 1:
            raise UserError(f"noise rate must lie in [0, 1); got {number} in '{text}'")
        return _RATES[kind](value)
    if not value >= 1 or (kind == "class-prior" and value == float("inf")):
        raise UserError(f"{kind} ratio must be at least 1; got {number}")
    return _RATIOS[kind](value)
