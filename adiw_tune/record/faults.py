"""What pydantic found wrong in a file, said in one line."""

from reprlib import repr as short

from pydantic_core import ErrorDetails, ValidationError


def first_fault(error: ValidationError) -> str:
    """Of a file's content; see :func:`told`."""
    return told(error.errors(include_url=False)[0])


def told(fault: ErrorDetails, at: int = 0) -> str:
    """Field, value and what would be right: accuracy 5: input should be less than or equal to 1.

    Args:
        fault: one of a validation error's.
        at: how many parts of the field's place to leave out.
    """
    place = ".".join(map(str, fault["loc"][at:]))
    if fault["type"] == "missing":
        return f"no '{place}'"
    message = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{place} {short(fault['input'])}: {message}" if place else message
