"""What ends a command other than success."""


class UserError(ValueError):
    """Bad input. Its message is one line that names the thing and says what would be right.

    The command line prints it without a traceback and exits with code 2.
    """


def in_one_line(error: BaseException) -> str:
    """Type and message of an error that somebody else's code raised."""
    return " ".join(f"{type(error).__name__}: {error}".split())


class SearchInterrupted(Exception):
    """Ctrl-C: the search stopped before its end, and can be resumed."""
