"""The command line: one thin command for each thing a user does."""

import os
import signal
import sys

from adiw_tune.cli import cluster, results, scaling, searching, training  # noqa: F401 - they register
from adiw_tune.cli.app import EXIT_BAD_INPUT, EXIT_INTERRUPTED, app, err
from adiw_tune.errors import SearchInterrupted, UserError

__all__ = ["main"]


def main() -> None:
    """Run the command line; bad input becomes one line and exit code 2."""
    # MLflow tells about each table it makes, between our lines.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # A service, Slurm or Kubernetes stops a search by this, and then waits.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        app()
    except UserError as error:
        err.print(f"error: {error}", markup=False)
        sys.exit(EXIT_BAD_INPUT)
    except (SearchInterrupted, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
