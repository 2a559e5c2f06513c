"""What MLflow refuses for good, as opposed to what it does not take now."""

from __future__ import annotations

import errno
import re
import shlex

from adiw_tune.errors import UserError
from adiw_tune.tracking.check import without_secrets

# The codes of a server, or of a database, that may answer otherwise in a while.
_TEMPORARY = frozenset(
    {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED"}
    | {"RESOURCE_EXHAUSTED", "ABORTED", "CANCELLED"}
)
_TEMPORARY_STATUSES = (408, 425, 429)
_LOGIN = ("PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED")
# Of artifacts in a directory: no waiting makes it writable.
_OF_FILES = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


class RefusedError(UserError):
    """MLflow refuses something and will refuse it again; the message says what would help."""


def is_temporary(error: BaseException) -> bool:
    """Tell whether the same call may succeed later: no answer, 5xx, 408, 425 or 429."""
    if isinstance(error, OSError):  # requests' errors are OSErrors
        status = getattr(getattr(error, "response", None), "status_code", 500)
        later = status >= 500 or status in _TEMPORARY_STATUSES
        return later and error.errno not in _OF_FILES
    return getattr(error, "error_code", None) in _TEMPORARY


def refusal(error: BaseException) -> RefusedError:
    """Return a refusal in one line that holds no credentials."""
    if isinstance(error, RefusedError):
        return error
    told = f"MLflow refuses it ({without_secrets(error)})"
    if getattr(error, "error_code", None) in _LOGIN:
        told += (
            ": set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, to those of a user who may write, and the server's "
            "--allowed-hosts to the name it is called by"
        )
    return RefusedError(told)


def deleted(uri: str, what: str, kind: str, identifier: str) -> RefusedError:
    """Return the refusal of what is deleted in MLflow, with the command that restores it.

    Args:
        uri: of the store.
        what: as a user calls it.
        kind: experiment or run.
        identifier: MLflow's.
    """
    place = shlex.quote(re.sub(r"^(https?://)[^/]*@", r"\1", uri))
    command = f"MLFLOW_TRACKING_URI={place} mlflow {kind}s restore --{kind}-id {identifier}"
    return RefusedError(f"{what} is deleted in MLflow: restore it by: {command}")
