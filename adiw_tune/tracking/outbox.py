"""Deliver a search's events to MLflow from a thread, however long the server is away.

The search only appends lines to a file. This thread reads them from where it stopped and sends
them; what cannot be sent now is sent later, so a dead server neither stops the search nor loses a
point.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import TYPE_CHECKING, Any

from adiw_tune.tracking.check import one_line
from adiw_tune.tracking.retry import one_quick_attempt_each

if TYPE_CHECKING:
    from adiw_tune.tracking.runs import SearchRuns

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
# As far as it is behind, so much it sends at once, as what a trial has in a batch is one call. But
# after an error a batch is sent again as a whole, and should be small.
_LINES_PER_BATCH = (500, 8000)


class Outbox:
    """A thread that sends the lines of `events.jsonl` to MLflow, in order, each until accepted."""

    def __init__(
        self, events_path: Path, open_runs: Callable[[], SearchRuns], offset_path: Path
    ) -> None:
        """Start sending.

        Args:
            events_path: the search's events; the file may not exist yet.
            open_runs: opens the runs. It is called in the thread, so that neither MLflow's import
                nor a dead server holds up the search, and again until it succeeds.
            offset_path: where the position reached is kept, for a resumed search.
        """
        one_quick_attempt_each()
        self._events_path = events_path
        self._open_runs = open_runs
        self._offset_path = offset_path
        self._offset, self._parent_run_id = _read_position(offset_path)
        self._lines_per_batch = _LINES_PER_BATCH[0]
        self._last_error: str | None = None
        self._tried = Signal()
        self._closing = Signal()
        self._abandoned = Signal()
        self._wake = Signal()
        self._thread = Thread(target=self._work, name="adiw-outbox", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many lines are written and not yet accepted by MLflow."""
        return self._unsent().count(b"\n")

    @property
    def last_error(self) -> str | None:
        """Why sending does not succeed now, in one line without credentials; None if it does."""
        return self._last_error

    def wait_until_tried(self, timeout: float) -> None:
        """Wait until MLflow has been imported and asked once, for at most `timeout` seconds.

        That takes seconds of a core, in which nothing should be measured.
        """
        self._tried.wait(timeout)

    def close(self, timeout: float) -> bool:
        """Send what is left for at most `timeout` seconds; return whether everything was accepted.

        What was not accepted stays in the file, and the next Outbox over it goes on from there.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        self._abandoned.set()
        self._wake.set()
        return not self._thread.is_alive() and self.pending == 0

    def _work(self) -> None:
        runs: SearchRuns | None = None
        failures = 0
        while not self._abandoned.is_set():
            try:
                runs = runs or self._opened()
                self._tried.set()
                sent = self._send_batch(runs)
            except Exception as error:  # a dead server or our own mistake: show it and try again
                failures += 1
                self._lines_per_batch = _LINES_PER_BATCH[0]
                self._tried.set()
                self._show(error)
                self._pause(min(_POLL_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS))
                continue
            failures = 0
            self._last_error = None
            if not sent and self._closing.is_set():
                return
            if not sent:
                self._pause(_POLL_SECONDS)

    def _opened(self) -> SearchRuns:
        runs = self._open_runs()
        if runs.parent_run_id != self._parent_run_id:  # another store: it needs every event
            self._offset, self._parent_run_id = 0, runs.parent_run_id
        return runs

    def _send_batch(self, runs: SearchRuns) -> bool:
        """Send the next whole lines and move on; return whether there were any."""
        lines = self._unsent().splitlines(keepends=True)
        if not lines:
            return False
        if len(lines) > self._lines_per_batch:  # it is behind
            lines = lines[: self._lines_per_batch]
            self._lines_per_batch = min(2 * self._lines_per_batch, _LINES_PER_BATCH[1])
        events = [event for line in lines if (event := _parse(line)) is not None]
        runs.record(events)
        self._offset += sum(map(len, lines))
        _write_position(self._offset_path, self._offset, runs.parent_run_id)
        return True

    def _unsent(self) -> bytes:
        """Return the whole lines after the position; a line still being written is left out."""
        try:
            with self._events_path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return b""
        return text[: text.rfind(b"\n") + 1]

    def _show(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {one_line(error)}"
        if text != self._last_error:  # once for each trouble, not at every attempt
            _LOG.warning("MLflow has not accepted the latest events; trying again (%s)", text)
            _LOG.debug("", exc_info=error)
        self._last_error = text

    def _pause(self, seconds: float) -> None:
        # While closing, the caller waits: try often. Until then, a new line need not wake us.
        self._wake.wait(min(seconds, 1.0) if self._closing.is_set() else seconds)
        self._wake.clear()


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the line's event; None if a kill tore it.

    After a torn line without an end, the next event stands on the same line, and is still read.
    """
    for start in (0, line.rfind(b'{"event"')):
        try:
            event: dict[str, Any] = json.loads(line[max(start, 0) :])
            return event
        except ValueError:
            continue
    if line.strip():
        _LOG.warning("skipped a torn line of the events file: %.80r", line)
    return None


def _read_position(path: Path) -> tuple[int, str | None]:
    try:
        position = json.loads(path.read_text())
        return int(position["offset"]), str(position["parent_run_id"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0, None  # sending everything again is harmless


def _write_position(path: Path, offset: int, parent_run_id: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps({"offset": offset, "parent_run_id": parent_run_id}))
    os.replace(new, path)
