"""Addresses as users write them, of MLflow, of checkpoints and of Ray clusters: read here alone.

What cannot be read is None, and the caller says what would be right.
"""

import os
import re
from urllib.parse import SplitResult, urlsplit

from adiw_tune.errors import UserError

AUTO = "auto"  # the cluster that $RAY_ADDRESS names, or the one of this machine
LOCAL = "local"  # this machine, without a cluster
RAY_ADDRESS = "RAY_ADDRESS"
_PLACE = re.compile(r"([^\s\[\]/@:]+|\[[0-9A-Fa-f:.]+(?:%\w+)?\]):([0-9]{1,5})")
_PORTS = range(1, 2**16)
RIGHT_CLUSTER = "give HOST:PORT of a running one, or local to start Ray here"


def url_parts(url: str) -> SplitResult | None:
    """The parts of ``scheme://...``; None if it has no scheme or cannot be read."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    # urlsplit drops line breaks and tabs, so that it would read another address than was given.
    return parts if url.isprintable() and "://" in url else None


def host_and_port(place: str) -> tuple[str, int] | None:
    """Of ``HOST:PORT``, an IPv6 address in brackets, which the host is without."""
    match = _PLACE.fullmatch(place)
    if match is None or int(match[2]) not in _PORTS:
        return None
    return match[1].strip("[]"), int(match[2])


def without_credentials(text: str) -> str:
    """The text with every ``user:password@`` in an address replaced by ``***@``."""
    return re.sub(r"://[^/\s]*@", "://***@", text)


def is_job_server(address: str) -> bool:
    """Whether ``address`` is that of a Ray dashboard, which takes jobs, and not of a cluster."""
    return address.startswith(("http://", "https://"))


def cluster_place(address: str) -> tuple[str, int] | None:
    """Host and port of the Ray cluster that ``auto`` or HOST:PORT means.

    None is the cluster of this machine, which Ray finds by itself. $RAY_ADDRESS may name a job
    server, as ``submit`` takes it. Ray would take that for a cluster's, so it is unset here.

    Raises:
        UserError: it is no address of a cluster.
    """
    named, whence = address, ""
    if address == AUTO:
        named, whence = os.environ.get(RAY_ADDRESS, AUTO) or AUTO, f" of ${RAY_ADDRESS}"
        if is_job_server(named):
            del os.environ[RAY_ADDRESS]
            named = AUTO
    if named == AUTO:
        return None
    shown = without_credentials(named)
    if is_job_server(named):
        raise UserError(
            f"'{shown}' is a job server, to which 'adiw-tune submit' hands a search; to run it "
            "from here, give HOST:PORT of the cluster, or auto on one of its nodes"
        )
    place = host_and_port(named)
    if place is None:
        raise UserError(f"no Ray cluster at '{shown}'{whence}: {RIGHT_CLUSTER}")
    return place
