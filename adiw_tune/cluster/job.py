"""What a submitted job begins with, on the cluster: ``python -m adiw_tune.cluster.job``.

Its arguments are the directory of the searches, ``~`` in it being this machine's, and those of a
command. It takes in the variables that were sealed, and goes over into the command.
"""

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from cryptography.fernet import InvalidToken

from adiw_tune.cluster.sealed import SEALED, ray_token, unseal
from adiw_tune.errors import EXIT_BAD_INPUT


def main() -> None:
    """Go over into the command."""
    storage = Path(sys.argv[1]).expanduser()
    try:
        storage.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(f"cannot make storage '{storage}' on {socket.gethostname()}: {error.strerror}")
    if sealed := os.environ.pop(SEALED, None):
        try:
            os.environ.update(unseal(sealed, ray_token() or ""))
        except InvalidToken:
            _refuse(f"--env: {socket.gethostname()} has another token than was sealed with")
    # The directory that Ray made for the job will be gone, and what would lie there.
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{storage / 'mlflow.db'}")
    command = [*sys.argv[2:], "--storage", str(storage), "--address", "auto"]
    os.execv(sys.executable, [sys.executable, "-m", "adiw_tune.cli", *command])


def _refuse(why: str) -> NoReturn:
    print(f"error: {why}", file=sys.stderr)
    sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
