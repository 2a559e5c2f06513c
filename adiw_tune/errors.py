"""What ends a command other than success."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Exit codes of the command line.
EXIT_RAY_LOST = 1
EXIT_BAD_INPUT = 2
EXIT_UNSENT = 3  # not 0, so that a service which begins anew sends the rest
EXIT_INTERRUPTED = 130


class UserError(ValueError):
    """Bad input. Its message is one line that names the thing and says what would be right.

    The command line prints it without a traceback and exits with code 2.
    """


# Of torch's allocators, and of what CUDA's libraries take beside them.
_NO_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


def lacks_memory(error: BaseException | None) -> bool:
    """Whether the device, or the machine, had not enough memory for what raised ``error``.

    ``torch.OutOfMemoryError`` is a RuntimeError that says so, and what the compiler makes of one
    repeats its text: so torch need not be imported to tell.
    """
    if isinstance(error, RuntimeError):
        return any(what in str(error) for what in _NO_MEMORY)
    return isinstance(error, MemoryError)


def in_one_line(error: BaseException) -> str:
    """Type and message of an error that somebody else's code raised."""
    try:
        message = str(error)
    except Exception:  # __str__ is that code's too
        message = "it cannot be told"
    return " ".join(f"{type(error).__name__}: {message}".split())


@contextmanager
def told_as(tell: Callable[[BaseException], str]) -> Iterator[None]:
    """Run a user's own code: what it raises, but Ctrl-C, becomes a UserError.

    Args:
        tell: gives the message for what was raised.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(tell(error)) from error


class SearchInterrupted(Exception):
    """Ctrl-C: the search stopped before its end, and can be resumed."""


class UnsentError(Exception):
    """A search is over and answered, but MLflow, or the copy of its record, lacks part of it.

    The command line prints the answer, then this as one line, and exits with code 3.
    """
