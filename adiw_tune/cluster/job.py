"""What a submitted job begins with, on the cluster: ``python -m adiw_tune.cluster.job``.

Its arguments are the directory of the searches, ``~`` in it being this machine's, and those of a
command. It takes in the variables that were sealed, and goes over into the command.
"""

import os
import socket
import sys
from pathlib import Path

from cryptography.fernet import InvalidToken

from adiw_tune.cluster.sealed import SEALED, ray_token, unseal


def main() -> None:
    """Go over into the command."""
    storage = Path(sys.argv[1]).expanduser()
    storage.mkdir(parents=True, exist_ok=True)
    if sealed := os.environ.pop(SEALED, None):
        try:
            os.environ.update(unseal(sealed, ray_token() or ""))
        except InvalidToken:
            sys.exit(f"error: --env: {socket.gethostname()} has another token than was sealed with")
    # The directory that Ray made for the job will be gone, and what would lie there.
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{storage / 'mlflow.db'}")
    command = [*sys.argv[2:], "--storage", str(storage), "--address", "auto"]
    os.execv(sys.executable, [sys.executable, "-m", "adiw_tune.cli", *command])


if __name__ == "__main__":
    main()
