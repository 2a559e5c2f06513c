"""Who may use a device now: any number who work, or one who measures alone."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from adiw_tune.errors import UserError

if sys.platform != "win32":
    import fcntl

_How = Literal["shared", "exclusive"]

LOCKS = "ADIW_LOCKS"  # the environment variable that names the folder of the locks
_REMEDY = f"set {LOCKS} to a directory on this machine that you may write to"


class DeviceTurn:
    """A process's place among those that use ``device`` on this machine, and share ``folder``.

    Two locks of the operating system, a gate and a room behind it. Who works passes the gate and
    stays in the room. Who measures holds the gate closed until the room is empty: since nobody
    enters meanwhile, that comes. Who works sees the closed gate between two mini-batches
    (:meth:`make_room`), leaves the room, and waits at the gate. Nobody who waits holds what the
    one waited for needs, so there is no deadlock, and what a killed process held is free.

    Of a process only one thread may use it, and one object for a device: :func:`device_turn`.
    Windows has no such locks: there, nobody waits.

    Args:
        device: on CUDA, what was begun there is over before somebody else has a turn.
        folder: of the locks' files; None for what ``$ADIW_LOCKS`` says, or one of the user's own
            in /tmp. Wherever a job's TMPDIR is, other jobs on the same device look there.
    """

    def __init__(self, device: torch.device, folder: Path | None = None) -> None:
        self._device = device
        self._folder = folder
        self._held: _How | None = None
        # Open only while held: a process forked in between has locks of its own.
        self._gate = self._room = -1

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Work, beside others who work."""
        with self._hold("shared"):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be alone. Within :meth:`shared` that is left first, and entered again at the end."""
        with self._hold("exclusive"):
            yield

    def make_room(self) -> float:
        """Let one who waits to measure do so now; takes microseconds where nobody does.

        Returns the seconds that this one stood still for it. On CUDA it first does all that it has
        queued there, which is work of its own, and none of them.
        """
        if self._held != "shared" or self._gate_is_open():
            return 0.0
        self._finish()
        start = time.perf_counter()
        self._leave()
        self._enter("shared")
        return time.perf_counter() - start

    @contextmanager
    def _hold(self, how: _How) -> Iterator[None]:
        before = self._held
        if sys.platform == "win32" or before in (how, "exclusive"):
            yield
            return
        if before:
            self._leave()
        self._enter(how)
        try:
            yield
        finally:
            self._leave()
            if before:
                self._enter(before)

    def _enter(self, how: _How) -> None:
        path = (self._folder or _folder()) / _name(self._device)
        self._gate, self._room = (_open(path.with_suffix(end)) for end in (".gate", ".room"))
        try:
            for file in (self._gate, self._room):
                fcntl.flock(file, fcntl.LOCK_SH if how == "shared" else fcntl.LOCK_EX)
            if how == "shared":
                fcntl.flock(self._gate, fcntl.LOCK_UN)
        except BaseException:  # Ctrl-C while waiting
            self._close()
            raise
        self._held = how

    def _leave(self) -> None:
        self._finish()
        self._held = None
        self._close()

    def _finish(self) -> None:
        """Have all done that was begun on a GPU.

        Not on one where nothing is held: to ask there would give the process a context on it, which
        takes hundreds of megabytes.
        """
        if self._device.type == "cuda" and torch.cuda.memory_reserved(self._device):
            torch.cuda.synchronize(self._device)

    def _close(self) -> None:
        for file in (self._room, self._gate):  # in this order: behind the gate the room is free
            fcntl.flock(file, fcntl.LOCK_UN)  # processes forked to read rows have it open too
            os.close(file)

    def _gate_is_open(self) -> bool:
        try:
            fcntl.flock(self._gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return True


class OwnDevice:
    """The turn of a process whose device no other uses: it waits for nobody."""

    def shared(self) -> AbstractContextManager[None]:
        """Work."""
        return nullcontext()

    exclusive = shared

    def make_room(self) -> float:
        """Nobody waits."""
        return 0.0


@cache
def device_turn(device: torch.device) -> DeviceTurn:
    """The turn of this process on ``device``, the same each time."""
    return DeviceTurn(device)


def device_turns(devices: Iterable[torch.device]) -> list[DeviceTurn]:
    """The turns of this process on several devices, in the order in which to enter them.

    It is that of the devices themselves: processes that number them otherwise (by another
    ``CUDA_VISIBLE_DEVICES``) would each hold one and wait for the other's.
    """
    return [device_turn(device) for device in sorted(devices, key=_name)]


def _name(device: torch.device) -> str:
    """Of the device itself, whatever number this process knows it by."""
    if device.type == "cuda":
        return f"cuda-{torch.cuda.get_device_properties(device).uuid}"
    return device.type


def _folder() -> Path:
    if named := os.environ.get(LOCKS):
        if not Path(named).is_dir():
            raise UserError(f"{LOCKS} is '{named}', which is no directory: {_REMEDY}")
        return Path(named)
    folder = Path("/tmp") / f"adiw-tune-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make '{folder}': {error.strerror}; {_REMEDY}") from error
    if folder.lstat().st_uid != os.getuid():
        raise UserError(f"'{folder}' belongs to another user: {_REMEDY}")
    return folder


def _open(path: Path) -> int:
    """The file of a lock, which every user of the folder can open.

    Not one that a link leads to: in a folder that is open to all anybody could have put it there.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        try:
            # Linux refuses O_CREAT for what another user made in a folder that is open to all.
            return os.open(path, flags)
        except FileNotFoundError:
            file = os.open(path, flags | os.O_CREAT | os.O_EXCL)
    except FileExistsError:  # made by another process in between
        return _open(path)
    except OSError as error:
        raise UserError(f"cannot lock '{path}': {error.strerror}; {_REMEDY}") from error
    os.fchmod(file, 0o666)  # whatever the umask says
    return file
