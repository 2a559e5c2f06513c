"""Checks that the groups of a configuration share."""

from collections.abc import Iterable, Mapping

from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, check_whole, shown

MOST_EPOCHS = 1_000_000
MOST_ROWS = 10**9  # a mini-batch that asks for more than there are has all


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Refuse what is none of ``choices``."""
    if value not in choices:
        raise UserError(f"unknown {name} '{value}': choose one of {', '.join(choices)}")


def check_wholes(values: Mapping[str, int | None], ranges: Iterable[tuple[str, int, int]]) -> None:
    """Refuse whole numbers outside of their (name, least, most); None is left out."""
    for name, least, most in ranges:
        if values[name] is not None:
            check_whole(name, values[name], least, most)


def check_between(name: str, value: float, least: float, most: float, text: str) -> None:
    """Refuse what is no number in [least, most], which is told as ``text``."""
    check_number(name, value)
    if not least <= value <= most:
        raise UserError(f"{name} must lie in {text}; got {shown(value)}")
