"""What a run that Ray could not bring to its end died of."""

import errno
import pickle
from pathlib import Path
from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError, RayError, RayTaskError

from adiw_tune.errors import lacks_memory

_FULL = (errno.ENOSPC, errno.EDQUOT)


class KilledForMemoryError(RayActorError):
    """Ray, which watches over the machine's memory, has killed a trial's process."""

    def __init__(self) -> None:
        super().__init__(error_msg="Ray killed its process, as the machine ran low on memory")


def error_of(trial: Any) -> BaseException | None:
    """What a trial of Tune's raised, or Ray of it; None if that cannot be known."""
    path = trial.pickled_error_file  # on this machine: Ray copies it to the storage only later
    error = pickle.loads(Path(path).read_bytes()) if path and Path(path).exists() else None
    cause = error.cause if isinstance(error, RayTaskError) else None
    found: BaseException | None = cause or error
    return found


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the device, or the machine, had not enough memory for it."""
    # Ray's own is of a worker of several, which Ray Train passes on.
    return isinstance(error, KilledForMemoryError | OutOfMemoryError) or lacks_memory(error)


def is_lost(error: BaseException | None) -> bool:
    """Whether it is no fault of the run's: its process or node is gone, or what it was to read."""
    return error is None or isinstance(error, RayError)


def is_storage_full(error: BaseException | None) -> bool:
    """Whether what holds the checkpoints is full."""
    if not isinstance(error, OSError):
        return False
    return error.errno in _FULL or "No space left" in str(error)


def reason_of(error: BaseException | None) -> str:
    """The error's name and its first line."""
    if isinstance(error, KilledForMemoryError):
        return str(error)
    if error is None or isinstance(error, RayActorError):
        return "the trial's process ended unexpectedly"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
