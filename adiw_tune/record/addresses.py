"""Addresses that records keep, of MLflow and of checkpoints: no secret may stand in one."""

from urllib.parse import parse_qsl, urlsplit

from adiw_tune.errors import UserError

_SECRET = ("key", "secret", "token", "password", "credential", "sig")
# Of Azure's addresses what stands before the @ may be a container's name.
_NAMES_BEFORE_AT = ("abfs", "abfss", "az")


def check_no_secrets(tracking_uri: str, checkpoints: str | None) -> None:
    """Refuse addresses that hold what would end up in records, in MLflow and in Ray's logs.

    Raises:
        UserError: one does; it is not repeated.
    """
    if urlsplit(tracking_uri).password:
        raise UserError(
            "the tracking URI holds a password, which would end up in records: set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    if checkpoints is not None and _holds_key(checkpoints):
        raise UserError(
            "the URL of the checkpoints holds a key, which would end up in records: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else its service reads"
        )


def _holds_key(url: str) -> bool:
    parts = urlsplit(url)
    named = (name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return (
        bool(parts.password)
        or bool(parts.username and parts.scheme not in _NAMES_BEFORE_AT)
        or any(word in name for name in named for word in _SECRET)
    )
