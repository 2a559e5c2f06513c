"""What happened in a search, a line of JSON each: the one thing that all else follows from."""

import json
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

from adiw_tune.errors import UserError
from adiw_tune.record.events import DamagedError, Event, parse
from adiw_tune.record.files import opened

# What a run reports again if it is lost. At many a second, to wait for the disk each time would
# hold up all other runs.
_REPORTED_AGAIN = ("epoch", "checkpoint")
_SECONDS_BETWEEN_SYNCS = 1.0


class EventLog:
    """Append-only lines of JSON. A torn line, left by a kill, is passed over.

    The events are those of :mod:`adiw_tune.record.events`.

    Raises:
        UserError: it cannot be read or written, or an event in it is damaged.
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
        text = json.dumps({"event": event, **details, "time": time()}, ensure_ascii=False)
        line = text.encode(errors="replace") + b"\n"  # a reason may hold half of a character
        try:
            self._write(line, event in _REPORTED_AGAIN)
        except OSError as error:
            raise UserError(f"cannot write '{self.path}': {error.strerror}") from error

    def _write(self, line: bytes, may_wait: bool) -> None:
        file = self._opened_to_append()
        if _is_torn(file):
            line = b"\n" + line
        while line:
            line = line[os.write(file, line) :]
        if not may_wait or monotonic() - self._synced >= _SECONDS_BETWEEN_SYNCS:
            os.fsync(file)
            self._synced = monotonic()

    def _opened_to_append(self) -> int:
        if self._file is None:
            how = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, how, 0o666)
            weakref.finalize(self, os.close, self._file)
        return self._file

    def __iter__(self) -> Iterator[Event]:
        return (event for event, _ in self.after(0))

    def after(self, offset: int) -> Iterator[tuple[Event, int]]:
        """The events from byte ``offset`` on, each with the offset behind it."""
        for line, end in self._lines(offset):
            try:
                event = parse(line)
            except DamagedError as error:
                raise self.damaged(end, error) from None
            if event is not None:
                yield event, end

    def damaged(self, offset: int, what: DamagedError) -> UserError:
        """That the line before byte ``offset`` is, to be raised."""
        return UserError(f"'{self.path}' is damaged: the line that ends at byte {offset}: {what}")

    def _lines(self, offset: int) -> Iterator[tuple[bytes, int]]:
        """Whole lines, each with the offset behind it."""
        if not self.path.exists():
            return
        with opened(self.path) as file:
            if offset > os.fstat(file.fileno()).st_size:  # a position in another log
                offset = 0
            file.seek(offset)
            for line in file:
                offset += len(line)
                if line.endswith(b"\n"):
                    yield line, offset


def _is_torn(file: int) -> bool:
    """Whether the last line has no end."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"
