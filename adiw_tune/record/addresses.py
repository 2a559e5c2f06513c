"""Addresses that records keep, of MLflow and of checkpoints: no secret may stand in one."""

from urllib.parse import SplitResult, parse_qsl

from adiw_tune.addresses import url_parts, without_credentials
from adiw_tune.errors import UserError

_OF_ONE_PROCESS = ("memory", "mock")  # file systems of fsspec and pyarrow that nobody else sees
_SECRET = ("key", "secret", "token", "password", "credential", "sig")
# Of Azure's addresses what stands before the @ may be a container's name.
_NAMES_BEFORE_AT = ("abfs", "abfss", "az")


def check_no_secrets(tracking_uri: str, checkpoints: str | None) -> None:
    """Refuse addresses that hold what would end up in records, in MLflow and in Ray's logs.

    Raises:
        UserError: one does, and it is not repeated; or it cannot be read.
    """
    if _parts("tracking URI", tracking_uri).password:
        raise UserError(
            "the tracking URI holds a password, which would end up in records: set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    if checkpoints is not None and _holds_key(checkpoints):
        raise UserError(
            "the URL of the checkpoints holds a key, which would end up in records: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else its service reads"
        )


def checkpoints_parts(checkpoints: str) -> SplitResult:
    """The parts of a URL for checkpoints; of a path there are none.

    Raises:
        UserError: it cannot be read, or what is kept there is gone with its process.
    """
    parts = _parts("URL of the checkpoints", checkpoints)
    if parts.scheme in _OF_ONE_PROCESS:
        raise UserError(
            f"cannot keep checkpoints in '{checkpoints}', which is gone with its process: give a "
            "directory, or a URL such as s3://bucket/path"
        )
    return parts


def _parts(what: str, address: str) -> SplitResult:
    """Of a path there are none."""
    if "://" not in address:
        return SplitResult("", "", address, "", "")
    parts = url_parts(address)
    if parts is None or not parts.scheme:
        raise UserError(f"{what} '{without_credentials(address)}' is no address: correct it")
    return parts


def _holds_key(url: str) -> bool:
    parts = checkpoints_parts(url)
    named = (name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return (
        bool(parts.password)
        or bool(parts.username and parts.scheme not in _NAMES_BEFORE_AT)
        or any(word in name for name in named for word in _SECRET)
    )
