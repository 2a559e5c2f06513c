"""The command line: one thin command for each thing a user does."""

import os
import sys
from collections.abc import Sequence

from typer.exceptions import TyperException

from adiw_tune.cli import (  # noqa: F401 - they register
    cluster,
    results,
    rows,
    scaling,
    searching,
    training,
)
from adiw_tune.cli.app import command_line
from adiw_tune.cli.console import err, is_output_full, tell_error, tell_unwritten
from adiw_tune.cli.signals import end_by_signals
from adiw_tune.errors import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_UNSENT,
    SearchInterrupted,
    UnsentError,
    UserError,
)

__all__ = ["main"]


def _check_values(words: Sequence[str]) -> None:
    """Refuse what no option and no argument can mean: nothing, or what is no text at all."""
    for before, word in zip(("an argument", *words), words, strict=False):
        name, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if equals and not value.strip():
            raise UserError(f"{name} is empty: give a value, or leave it out")
        if not _is_text(word):
            raise UserError(f"{before} is no valid text in UTF-8")


def _is_text(word: str) -> bool:
    try:
        return bool(word.encode())
    except UnicodeEncodeError:  # bytes that Python could not decode
        return False


def main() -> None:
    """Run the command line; bad input becomes one line and exit code 2."""
    # MLflow tells about each table it makes, between our lines.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    end_by_signals()
    words = sys.argv[1:] or ["--help"]
    try:
        _check_values(words)
        sys.exit(command_line()(words, standalone_mode=False))
    except (UserError, TyperException) as error:  # the latter of options that cannot be read
        tell_error(str(error) if isinstance(error, UserError) else error.format_message())
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        if not is_output_full(error):
            raise
        tell_unwritten(error)
        sys.exit(EXIT_BAD_INPUT)
    except UnsentError as error:
        err.print(f"warning: {error}", markup=False)
        sys.exit(EXIT_UNSENT)
    except (SearchInterrupted, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
