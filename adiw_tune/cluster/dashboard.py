"""The way to a running cluster's jobs: its dashboard, wherever the address that is given leads."""

import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from adiw_tune.addresses import (
    AUTO,
    RAY_ADDRESS,
    host_and_port,
    is_job_server,
    url_parts,
    without_credentials,
)
from adiw_tune.errors import UserError, in_one_line
from adiw_tune.in_time import in_time

_SECONDS = 5.0
_LONGEST_SECONDS = 20.0  # until the cluster has told where its dashboard is
_NAMES_BY_RAY = ("RAY_API_SERVER_ADDRESS", RAY_ADDRESS)
_HINT = (
    "give the dashboard's http://HOST:8265, HOST:PORT of the cluster, or auto on one of its nodes"
)
_FORWARD = "if it listens on the head alone, forward its port: ssh -L 8265:localhost:8265 HEAD"
_TOKEN_HINT = (
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's own token"
)


def connect(address: str) -> Any:
    """Ray's ``JobSubmissionClient`` for a cluster.

    Args:
        address: ``http://HOST:PORT`` or https of its dashboard, HOST:PORT of the dashboard or of
            the cluster, which knows its dashboard; or ``auto``: what $RAY_API_SERVER_ADDRESS or
            $RAY_ADDRESS says, or else the cluster that runs on this machine.

    Raises:
        UserError: nothing answers there within seconds, or it refuses the token.
    """
    if address == AUTO:
        address = next((os.environ[n] for n in _NAMES_BY_RAY if os.environ.get(n)), address)
    shown = without_credentials(address)
    os.environ[_NAMES_BY_RAY[0]] = _answering(address, shown)  # it goes before what Ray is given
    from ray.exceptions import AuthenticationError

    try:
        with _silent():
            return in_time(_client, _LONGEST_SECONDS)
    except AuthenticationError as error:
        raise UserError(f"the cluster at '{shown}' refuses the token: {_TOKEN_HINT}") from error
    except TimeoutError as error:
        raise UserError(f"no Ray cluster answers at '{shown}': {_HINT}") from error
    except Exception as error:  # whatever it is that answers there
        raise UserError(
            f"no Ray dashboard at '{shown}' ({in_one_line(error)}): {_HINT}; {_FORWARD}"
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Ray's core would write to stderr what is said here in one line."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _client() -> Any:
    from ray.job_submission import JobSubmissionClient

    for name in ("dashboard.modules.dashboard_sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)
    client = JobSubmissionClient()
    client.list_jobs()  # the version is told to anyone where there are proxies
    return client


def _answering(address: str, shown: str) -> str:
    """The address as Ray understands it, once something is known to answer there."""
    if address == AUTO:
        return address
    if "://" in address:
        parts = url_parts(address)
        if parts is None or not parts.hostname or not is_job_server(address):
            raise UserError(f"'{shown}' is no address of a job server: {_HINT}")
        if not _speaks_http(address):
            raise UserError(f"no Ray dashboard answers at '{shown}': {_HINT}; {_FORWARD}")
        return address.rstrip("/")
    place = host_and_port(address)
    if place is None:
        raise UserError(f"no Ray cluster at '{shown}': {_HINT}")
    try:
        socket.create_connection(place, _SECONDS).close()
    except (OSError, UnicodeError) as error:  # the latter of what is no name of a host
        raise UserError(f"no Ray cluster at '{shown}' ({error}): {_HINT}") from error
    return f"http://{address}" if _speaks_http(f"http://{address}") else address


def _speaks_http(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/api/version", timeout=_SECONDS).close()
    except urllib.error.HTTPError as error:  # it asks for a token
        error.close()
    except (OSError, ValueError):
        return False
    except Exception:  # http.client: the cluster's own port answers in its own language
        return False
    return True
