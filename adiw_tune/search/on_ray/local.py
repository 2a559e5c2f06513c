"""Ray started on this machine: where its files are, whether it is alive, why it did not start."""

import errno
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ray._private import ray_constants, worker

from adiw_tune.errors import UserError, in_one_line

# Ray's sockets lie below its folder, as in /session_2026-01-31_23-59-59_123456_4194304/sockets/
# plasma_store. The path of a socket has at most 107 bytes, on macOS 103.
_LONGEST = (107 if sys.platform == "linux" else 103) - 65
_PREFIX = "ray-"
_RANDOM = 8  # letters that tempfile adds
_ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")
_TIME_AND_PROCESS = re.compile(r"^\[\d{4}-[^]]*\]\s*")  # before each line of Ray's logs
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_END = 10.0
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_VITAL = (ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER)


@contextmanager
def folder_for_ray() -> Iterator[Path]:
    """A new directory for what Ray writes; removed at the end, with all that is in it.

    In $RAY_TMPDIR, or where temporary files go; or in another place, where the path of that is too
    long for a socket.

    Raises:
        UserError: there is no place for it.
    """
    wanted = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    folder = _made((wanted, *_ELSEWHERE))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _made(places: tuple[str, ...]) -> Path:
    longest = _LONGEST - len(f"/{_PREFIX}") - _RANDOM
    short = [place for place in places if len(os.fsencode(os.path.abspath(place))) <= longest]
    for place in short:
        try:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=os.path.abspath(place)))
        except OSError as error:
            why = error.strerror
    raise UserError(
        f"no place for Ray's files (tried {', '.join(short)}: {why}): set RAY_TMPDIR to a "
        f"directory that can be written to, whose path has at most {longest} bytes"
    )


def why_not_started(error: Exception, folder: Path) -> UserError:
    """What ``ray.init`` raised, with what may help."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = f"make room in '{folder.parent}', or set RAY_TMPDIR to a directory that has some"
    else:
        remedy = (
            "the machine may be too busy, or short of memory, of processes or of open files "
            "(ulimit -a): try again, or on another machine"
        )
    said = "".join(f"; {name} said: {line}" for name, line in _last_words(folder))
    return UserError(f"Ray does not start on this machine ({in_one_line(error)}{said}): {remedy}")


def _last_words(folder: Path) -> Iterator[tuple[str, str]]:
    """The last line that a process of Ray's wrote to its standard error, before any stack."""
    for name in _VITAL:
        for path in folder.glob(f"session_2*/logs/{name}.err"):
            text = path.read_text(errors="replace").partition("*** StackTrace")[0]
            lines = [line for line in text.splitlines() if line.strip() and "[0x" not in line]
            if lines:
                yield name, _TIME_AND_PROCESS.sub("", lines[-1].strip())[:160]


@contextmanager
def watched_here(lost: Callable[[str | None], None]) -> Iterator[None]:
    """While the body runs, look after the processes of the Ray that was started here.

    Args:
        lost: called with what has ended, without which nothing goes on, or with None if this
            process was told to end as well. It is to end this process: the body would wait, until
            Ray ends it with lines of its own. Nothing is left of Ray.

    Raises:
        KeyboardInterrupt: this process was told to end, and Ray has ended already.
    """
    over, node = threading.Event(), worker._global_node
    with _told_to_end() as told:
        threading.Thread(target=_watch, args=(node, lost, over, told), daemon=True).start()
        try:
            yield
        except Exception:
            if dead := _dead(node):  # and so the body raised
                if told.is_set():
                    raise KeyboardInterrupt from None
                _clear(node)
                lost(_gone(dead))
            raise
        finally:
            over.set()


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that is set when a signal tells this process to end; its handler runs as before."""
    told, handlers = threading.Event(), {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        found = {number: signal.getsignal(number) for number in _ENDING}
        handlers = {number: handler for number, handler in found.items() if callable(handler)}

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()
        handlers[number](number, frame)

    try:
        for number in handlers:
            signal.signal(number, tell)
        yield told
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _watch(
    node: Any, lost: Callable[[str | None], None], over: threading.Event, told: threading.Event
) -> None:
    while not over.wait(_SECONDS_BETWEEN_LOOKS):
        dead = _dead(node)
        # A service or Slurm tells all processes at once to end, of which this is one. A raylet then
        # ends with exit code 0 or 1.
        as_told = [code for code in dead.values() if code in (0, 1, *(-n for n in _ENDING))]
        if dead and not over.wait(_SECONDS_TO_END if as_told else 0):
            _clear(node)
            lost(None if told.is_set() else _gone(dead))
            return


def _dead(node: Any) -> dict[str, int]:
    """Process that has ended -> its exit code."""
    return {kind: one.returncode for kind, one in node.dead_processes() if kind in _VITAL}


def _clear(node: Any) -> None:
    node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
    shutil.rmtree(node.get_temp_dir_path(), ignore_errors=True)


def _gone(dead: dict[str, int]) -> str:
    told = " and ".join(f"its {name} {_how(code)}" for name, code in dead.items())
    return f"Ray on this machine is gone ({told})"


def _how(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed, perhaps because memory ran out"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
