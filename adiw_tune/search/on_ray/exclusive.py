"""Who may use a device now: any number who work, or one who measures alone."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from adiw_tune.errors import UserError

if sys.platform != "win32":
    import fcntl

_How = Literal["shared", "exclusive"]


class DeviceTurn:
    """A process's place among those of its user that use ``device`` on this machine.

    Two locks of the operating system, a gate and a room behind it. Who works passes the gate and
    stays in the room. Who measures holds the gate closed until the room is empty: since nobody
    enters meanwhile, that comes. Who works sees the closed gate between two mini-batches
    (:meth:`make_room`), leaves the room, and waits at the gate. Nobody who waits holds what the
    one waited for needs, so there is no deadlock, and what a killed process held is free.

    Of a process only one thread may use it, and one object for a device: :func:`device_turn`.
    Windows has no such locks: there, nobody waits.

    Args:
        device: on CUDA, what was begun there is over before somebody else has a turn.
        folder: of the locks' files; None is one of the user's own among the temporary files.
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

    def make_room(self) -> None:
        """Let one who waits to measure do so now; takes microseconds where nobody does."""
        if self._held == "shared" and not self._gate_is_open():
            self._leave()
            self._enter("shared")

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
        path = (self._folder or _own_folder()) / _name(self._device)
        self._gate, self._room = (
            os.open(path.with_suffix(ending), os.O_RDWR | os.O_CREAT, 0o600)
            for ending in (".gate", ".room")
        )
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
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._held = None
        self._close()

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

    def make_room(self) -> None:
        """Nobody waits."""


@cache
def device_turn(device: torch.device) -> DeviceTurn:
    """The turn of this process on ``device``, the same each time."""
    return DeviceTurn(device)


def _name(device: torch.device) -> str:
    """Of the device itself, whatever number this process knows it by."""
    if device.type == "cuda":
        return f"cuda-{torch.cuda.get_device_properties(device).uuid}"
    return device.type


def _own_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"adiw-tune-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UserError(f"'{folder}' belongs to another user: set TMPDIR to another directory")
    return folder
