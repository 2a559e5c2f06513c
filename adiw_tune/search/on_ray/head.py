"""Whether the head of a cluster is there still; Ray kills a driver a minute after its head."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray

from adiw_tune.addresses import host_and_port

_SECONDS_BETWEEN_LOOKS = 1.0
_PATIENCE_S = 15.0  # with a head that does not answer: networks have hiccups
_SECONDS_TO_ANSWER = 5.0


@contextmanager
def watched_head(lost: Callable[[], None]) -> Iterator[None]:
    """While the body runs, look after the head of the cluster that this process is connected to.

    Args:
        lost: called in another thread once the head has not answered for 15 s. It is to end this
            process: the body waits for a cluster that is gone, and would until Ray kills it.
    """
    over = threading.Event()
    place = host_and_port(ray.get_runtime_context().gcs_address)
    watch = threading.Thread(target=_watch, args=(place, lost, over), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(place: tuple[str, int] | None, lost: Callable[[], None], over: threading.Event) -> None:
    heard = time.monotonic()
    while not over.wait(_SECONDS_BETWEEN_LOOKS):
        if place is None or answers(*place):
            heard = time.monotonic()
        elif time.monotonic() - heard > _PATIENCE_S:
            lost()
            return


def answers(host: str, port: int) -> bool:
    """Whether anything listens there."""
    try:
        socket.create_connection((host, port), _SECONDS_TO_ANSWER).close()
    except (OSError, UnicodeError):  # the latter of what is no name of a host
        return False
    return True
