"""Variables for a submitted search, sealed with the cluster's token.

Ray writes the variables of a job as they are into its logs on every node, and shows them in the
job's details. Sealed, their values are of use only to who holds the cluster's token, and so could
run code on it anyway.
"""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet

SEALED = "ADIW_TUNE_SEALED"  # the variable that carries them


def seal(variables: Mapping[str, str], token: str) -> str:
    """Text that holds ``variables`` for who has the token; different each time."""
    salt = secrets.token_bytes(16)
    sealed = _box(token, salt).encrypt(json.dumps(dict(variables)).encode())
    return f"{salt.hex()}:{sealed.decode()}"


def unseal(text: str, token: str) -> dict[str, str]:
    """What was sealed.

    Raises:
        cryptography.fernet.InvalidToken: with another token, or changed since.
    """
    salt, _, sealed = text.partition(":")
    variables: dict[str, str] = json.loads(_box(token, bytes.fromhex(salt)).decrypt(sealed))
    return variables


def ray_token() -> str | None:
    """The token that Ray uses in this environment: $RAY_AUTH_TOKEN, or from its file; or none."""
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def _box(token: str, salt: bytes) -> Fernet:
    key = hashlib.scrypt(token.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return Fernet(base64.urlsafe_b64encode(key))
