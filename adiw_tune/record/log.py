"""What happened in a search, a line of JSON each: the one thing that all else follows from."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

from adiw_tune.errors import UserError

Event = dict[str, Any]


class EventLog:
    """Append-only lines of JSON. A torn line, left by a kill, is passed over.

    Events, each with its ``time`` in seconds since 1970:
        session     packages, code, commit, python, machine: the search was started, or gone on with
        extended    trials: how many it is to run in all from now on
        trial       trial, number, kind, of, config, params, distributions: a run begins
        setup       trial, device, splits, plain_s, ratio, speed, memory_bytes, device_bytes: what
                    it runs on, what a step costs there, and the memory that took (on GPUs)
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

    def append(self, event: str, **details: Any) -> None:
        """Write one event so that it survives a kill of this process or of the machine.

        Raises:
            UserError: it cannot be written, for want of space, say.
        """
        line = json.dumps({"event": event, **details, "time": time()}).encode() + b"\n"
        try:
            self._end_torn_line()
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write '{self.path}': {error.strerror}") from error

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

    def _end_torn_line(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
