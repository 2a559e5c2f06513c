"""A command to run on a cluster, with what it needs of this machine."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adiw_tune.addresses import without_credentials
from adiw_tune.cluster.package import pack, package_modules
from adiw_tune.cluster.sealed import SEALED, ray_token, seal
from adiw_tune.errors import UserError

DEFAULT_STORAGE = "~/adiw-searches"
# A job is stopped as by Ctrl-C. It then sends what is left to MLflow, for up to two minutes.
_ENDING = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "150"}


@dataclass(frozen=True)
class Order:
    """A command to run on a cluster.

    Args:
        words: the command and its arguments, without storage and address.
        storage: the directory of the searches there, absolute or below ``~``.
        folder: what is sent along, and where the command runs.
        exclude: names of what is not sent.
        pip: packages that the cluster lacks, or files ending in ``.txt`` that list them.
        variables: names of those that the command is to have as they are here.

    Raises:
        UserError: the storage is relative; or there is no such variable, list of packages, or token
            to seal variables with.
    """

    words: Sequence[str]
    storage: str
    folder: Path
    exclude: Sequence[str] = ()
    pip: Sequence[str] = ()
    variables: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.storage.startswith(("/", "~")):
            raise UserError(
                f"--storage '{self.storage}' would lie in the job's own directory, which Ray "
                "removes: give an absolute path on the cluster, or one below ~"
            )
        self._sealed()
        self._packages()

    @property
    def entrypoint(self) -> str:
        """The command line, for a shell on the cluster."""
        words = ["python", "-m", "adiw_tune.cluster.job", self.storage, *self.words]
        return f"exec {shlex.join(words)}"

    def runtime_env(self, into: Path) -> dict[str, Any]:
        """What Ray is to provide, from files in ``into``.

        Raises:
            UserError: the folder is too large.
        """
        packages = self._packages()
        return {
            "working_dir": str(pack(self.folder, self.exclude, into)),
            "py_modules": package_modules(into),
            "env_vars": {**_ENDING, **self._sealed()},
            **({"pip": packages} if packages else {}),
        }

    def _packages(self) -> list[str]:
        return [line for name in self.pip for line in _requirements(name)]

    def _sealed(self) -> dict[str, str]:
        missing = [name for name in self.variables if name not in os.environ]
        if missing:
            raise UserError(f"--env {missing[0]}: there is no such variable here; set it first")
        token = ray_token() if os.environ.get("RAY_AUTH_MODE") == "token" else None
        if self.variables and token is None:
            raise UserError(
                "--env needs a cluster with a token, which keeps values out of Ray's logs: set "
                "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN, or set the variables on the cluster itself"
            )
        values = {name: os.environ[name] for name in self.variables}
        return {SEALED: seal(values, token)} if values and token else {}


def _requirements(name: str) -> list[str]:
    try:
        read = Path(name).read_text().splitlines() if name.endswith(".txt") else [name]
    except OSError as error:
        raise UserError(f"--pip {name}: {error.strerror}") from error
    lines = [line.strip() for line in read]
    if any(without_credentials(line) != line for line in lines):
        raise UserError(
            "--pip: an address holds a user's name or password, which Ray would log: set up the "
            "package index on the cluster itself"
        )
    return [line for line in lines if line and not line.startswith("#")]
