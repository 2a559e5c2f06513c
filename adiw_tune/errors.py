"""The one error a user is meant to see."""


class UserError(ValueError):
    """Bad input. Its message is one line that names the thing and says what would be right.

    The command line prints it without a traceback and exits with code 2.
    """
