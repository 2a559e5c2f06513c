"""Ranges of the numbers that a user gives: each is finite, and means something at both ends."""

from numbers import Integral, Real

from adiw_tune.errors import UserError

FLOAT32 = (1e-38, 1e38)  # what float32 tells from 0, and from infinity


def check_whole(name: str, value: object, least: int, most: int) -> None:
    """Refuse what is no whole number, or one outside [least, most].

    Raises:
        UserError: it names ``name`` and the value, and says what would be right.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UserError(f"{name} must be a whole number; got {shown(value):.100}")
    if int(value) < least:
        raise UserError(f"{name} must be at least {least}; got {shown(value)}")
    if int(value) > most:
        raise UserError(f"{name} must be at most {most}; got {shown(value)}")


def check_positive(name: str, value: float, least: float, most: float) -> None:
    """Refuse what is no number in [least, most], where 0 < least; NaN and infinity lie outside.

    Raises:
        UserError: it names ``name``, the range, and the value.
    """
    check_number(name, value)
    if not value > 0:
        raise UserError(f"{name} must be above 0; got {shown(value)}")
    if not least <= value <= most:
        raise UserError(f"{name} must lie in [{least:g}, {most:g}]; got {shown(value)}")


def check_number(name: str, value: object) -> None:
    """Refuse what is no real number, such as a string, a boolean or a tensor.

    Raises:
        UserError: it names ``name`` and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UserError(f"{name} must be a number; got {shown(value):.100}")


def shown(value: object) -> str:
    """A value for an error, in one line, also where Python refuses to write out a whole number."""
    try:
        return " ".join(repr(value).split())
    except ValueError:
        many = "number of more than 4,000 digits"
        return f"a {many if isinstance(value, int) else type(value).__name__}"
