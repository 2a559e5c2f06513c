"""What happened in a search, a line of JSON each: the one thing that all else follows from."""

import json
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

from adiw_tune.errors import UserError

Event = dict[str, Any]

# What a run reports again if it is lost. At many a second, to wait for the disk each time would
# hold up all other runs.
_REPORTED_AGAIN = ("epoch", "checkpoint")
_SECONDS_BETWEEN_SYNCS = 1.0


class EventLog:
    """Append-only lines of JSON. A torn line, left by a kill, is passed over.

    Events, each with its ``time`` in seconds since 1970:
        session     packages, code, commit, python, machine: the search was started, or gone on with
        extended    trials: how many it is to run in all from now on
        trial       trial, number, kind, of, config, params, distributions: a run begins
        setup       trial, device, splits, plain_s, ratio, speed, extra_speed, memory_bytes,
                    device_bytes: what it runs on, what a step costs there, and the memory that
                    took (on GPUs)
        epoch       trial, epoch, accuracy, work_s, wall_s, loss, shares
        checkpoint  trial, epoch, path: what it can go on from
        cut         trial, rung: the scheduler stops it at this epoch
        lost        trial, why, reason: its process or node is gone, or it ran out of memory; it
                    is to go on from its checkpoint
        end         trial, status, reason, rung, accuracy, work_s, wall_s
        test_read   trial, accuracy, rows, again: the test split was read

    ``kind`` is search (of search trial 7, ``trial`` is t7), seed (t7 again over another seed),
    retime (t7 again alone, for its seconds) or winner (t7 trained again to be kept). ``status`` is
    finished, pruned (cut by the scheduler), stopped (by the budget), infeasible (out of memory, on
    a larger share too) or failed. ``why`` is process or memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None  # open from the first event on that is written here
        self._synced = 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return EventLog, (self.path,)

    def append(self, event: str, **details: Any) -> None:
        """Write one event so that it survives a kill of this process or of the machine.

        All events survive that of the process. Of epochs and checkpoints, what was written within
        a second after another event may be lost with the machine, unless one of another kind
        followed; the runs then go on from an earlier checkpoint, and report them again.

        Raises:
            UserError: it cannot be written, as when the disk is full.
        """
        line = json.dumps({"event": event, **details, "time": time()}).encode() + b"\n"
        try:
            self._write(line, event in _REPORTED_AGAIN)
        except OSError as error:
            raise UserError(f"cannot write '{self.path}': {error.strerror}") from error

    def _write(self, line: bytes, may_wait: bool) -> None:
        file = self._opened()
        if _is_torn(file):
            line = b"\n" + line
        while line:
            line = line[os.write(file, line) :]
        if not may_wait or monotonic() - self._synced >= _SECONDS_BETWEEN_SYNCS:
            os.fsync(file)
            self._synced = monotonic()

    def _opened(self) -> int:
        if self._file is None:
            how = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, how, 0o666)
            weakref.finalize(self, os.close, self._file)
        return self._file

    def __iter__(self) -> Iterator[Event]:
        return (event for event, _ in self.after(0))

    def after(self, offset: int) -> Iterator[tuple[Event, int]]:
        """The events from byte ``offset`` on, each with the offset behind it."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                if line.endswith(b"\n") and (event := _parse(line)) is not None:
                    yield event, offset


def _is_torn(file: int) -> bool:
    """Whether the last line has no end."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
