"""What ends a command other than success."""


class UserError(ValueError):
    """Bad input. Its message is one line that names the thing and says what would be right.

    The command line prints it without a traceback and exits with code 2.
    """


class SearchInterrupted(Exception):
    """Ctrl-C: the search stopped before its end, and can be resumed."""
