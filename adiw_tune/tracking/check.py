"""Is the tracking store usable? Asked before a search starts, because MLflow itself takes minutes.

MLflow retries a dead server for minutes and a broken database with growing pauses; these checks
answer within seconds, in one line, and never repeat a password that stands in the address.
"""

from __future__ import annotations

import base64
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from adiw_tune.addresses import url_parts, without_credentials
from adiw_tune.errors import UserError
from adiw_tune.tracking.schema import check_schema, query_sqlite

_HEALTH_SECONDS = 5
_RIGHT = "use sqlite:////absolute/path/mlflow.db or http(s)://your-mlflow-server"


def default_tracking_uri() -> str:
    """Return $MLFLOW_TRACKING_URI, or else an SQLite file `mlflow.db` in the working directory."""
    return absolute_uri(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")


def absolute_uri(uri: str) -> str:
    """Return the same address for every working directory; records keep no other."""
    match = re.fullmatch(r"sqlite:///([^/?:][^?]*)(\?.*)?", uri)
    return f"sqlite:///{Path.cwd() / match[1]}{match[2] or ''}" if match else uri


def without_secrets(error: BaseException) -> str:
    """Return what went wrong as one line that holds no credentials."""
    text = " ".join(without_credentials(str(error)).split())
    return text[:500] or type(error).__name__


def is_server(uri: str) -> bool:
    """Tell whether the address names an MLflow server, as opposed to a database file."""
    return uri.startswith(("http://", "https://"))


def sqlite_path(uri: str) -> Path | None:
    """Return the absolute path of an `sqlite:///` address, None for any other address.

    A database in memory, as `sqlite:///:memory:`, has no path: it would be gone with its process.
    """
    match = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", uri)
    if match is None or match[1].startswith((":memory:", "file:")) or "mode=memory" in uri:
        return None
    return Path(unquote(match[1])).absolute()


def check_tracking_uri(uri: str) -> None:
    """Raise UserError with one line if runs cannot be recorded under this address.

    A server is asked once, with a timeout of 5 s. A database file is opened only if it exists;
    MLflow creates a missing one, so there only its directory is looked at.
    """
    check_tracking_form(uri)
    if path := sqlite_path(uri):
        _check_sqlite(uri, path)
    else:
        _check_server(uri)


def check_tracking_form(uri: str) -> None:
    """Raise UserError if no store can have this address; nobody is asked."""
    parts = url_parts(uri)
    if is_server(uri) and (parts is None or not parts.hostname):
        raise UserError(f"tracking URI {without_credentials(uri)!r} is no address; {_RIGHT}")
    if not is_server(uri) and sqlite_path(uri) is None:
        raise UserError(f"tracking URI {without_credentials(uri)!r}: {_why_not(uri)}; {_RIGHT}")


def _why_not(uri: str) -> str:
    if uri.startswith("sqlite:"):
        return "an SQLite address needs a file, which another process can open"
    scheme = uri.partition(":")[0] if ":" in uri else ""
    if scheme in ("", "file"):
        return "MLflow no longer writes to plain directories"
    if scheme.partition("+")[0] in ("postgresql", "mysql", "mssql"):
        return f"a {scheme!r} database is reached through an MLflow server, see jobs/mlflow.sh"
    return f"the scheme {scheme!r} is not supported here"


def _check_server(uri: str) -> None:
    shown = without_credentials(uri)
    try:
        with urllib.request.urlopen(_health_request(uri), timeout=_HEALTH_SECONDS) as answer:
            body = answer.read(100)
    except urllib.error.HTTPError as error:
        error.close()
        raise UserError(
            f"tracking server {shown} answers {error.code} to /health; check the address, the "
            "credentials and the server's --allowed-hosts"
        ) from None
    # Refused, timed out, unknown host, bad TLS; or something else answers, in its own language.
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = without_secrets(getattr(error, "reason", None) or error)
        raise UserError(
            f"tracking server {shown} does not answer ({reason}); start it or correct the address"
        ) from None
    if body.strip() != b"OK":
        raise UserError(f"{shown} answers, but not as an MLflow server; correct the address")


def _health_request(uri: str) -> urllib.request.Request:
    parts = urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
    request = urllib.request.Request(f"{urlunsplit(bare)}/health")
    user = unquote(parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME", ""))
    password = unquote(parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
    if user:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    return request


def _check_sqlite(uri: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise UserError(f"tracking URI {uri}: {path.parent} is not a directory; create it")
    # SQLite keeps its journal next to the file, so the directory must be writable as well.
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"tracking URI {uri}: {path.parent} is not writable; choose another place")
    if not path.exists():
        return
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
        raise UserError(f"tracking URI {uri}: {path} is not a writable file; choose another one")
    if query_sqlite(path, "SELECT 1 FROM sqlite_master LIMIT 1"):
        check_schema(uri, path)
