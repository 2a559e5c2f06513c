"""Deliver a search's events to MLflow from a thread, however long the server is away.

The search only appends to its log. This thread reads that from where it stopped and sends it; what
cannot be sent now is sent later, so a dead server neither stops the search nor loses a point.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import TYPE_CHECKING

from adiw_tune.errors import UserError
from adiw_tune.tracking.check import without_secrets
from adiw_tune.tracking.refusal import is_temporary
from adiw_tune.tracking.retry import one_quick_attempt_each
from adiw_tune.tracking.sent import Sent
from adiw_tune.tracking.translate import Event

if TYPE_CHECKING:
    from adiw_tune.tracking.runs import SearchRuns

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 15.0
# As far as it is behind, so much it sends at once, as what a trial has in a batch is one call. But
# after an error a batch is sent again as a whole, and should be small.
_EVENTS_PER_BATCH = (500, 8000)

Read = Callable[[int], Iterable[tuple[Event, int]]]


class Outbox:
    """A thread that sends the events of a search to MLflow, in order, each until accepted."""

    def __init__(self, read: Read, open_runs: Callable[[], SearchRuns], sent_path: Path) -> None:
        """Start sending.

        Args:
            read: gives the events behind a position in the log, each with the position behind it;
                it is called in the thread, too.
            open_runs: opens the runs. It is called in the thread, so that neither MLflow's import
                nor a dead server holds up the search, and again until it succeeds.
            sent_path: where the position reached is kept, for a resumed search.
        """
        one_quick_attempt_each()
        self._read = read
        self._open_runs = open_runs
        self._sent_path = sent_path
        self._sent = Sent.read(sent_path)
        self._events_per_batch = _EVENTS_PER_BATCH[0]
        self._last_error: str | None = None
        self._tried = Signal()
        self._closing = Signal()
        self._abandoned = Signal()
        self._wake = Signal()
        self._thread = Thread(target=self._work, name="adiw-outbox", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many events are written and not yet accepted by MLflow."""
        return sum(1 for _ in self._read(self._sent.offset))

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

        What MLflow refuses, rather than does not take now, is tried once more and not waited for.
        What was not accepted stays in the file, and the next Outbox over it goes on from there.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        self._abandoned.set()
        self._wake.set()
        ended = not self._thread.is_alive() and self._last_error is None
        return ended and self.pending == 0

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
                self._events_per_batch = _EVENTS_PER_BATCH[0]
                self._tried.set()
                self._show(error)
                if not is_temporary(error):
                    runs = None  # opened anew, it may be found, or tell what would help
                    if self._closing.is_set() and failures > 1:
                        return
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
        if runs.parent_run_id != self._sent.parent_run_id:  # another store: it needs every event
            self._sent = Sent(parent_run_id=runs.parent_run_id)
        return runs

    def _send_batch(self, runs: SearchRuns) -> bool:
        """Send the next events and move on; return whether there were any."""
        most = self._events_per_batch
        batch = list(islice(self._read(self._sent.offset), most + 1))
        if not batch:
            return False
        if len(batch) > most:  # it is behind
            batch = batch[:most]
            self._events_per_batch = min(2 * most, _EVENTS_PER_BATCH[1])
        runs.record([event for event, _ in batch])
        self._sent = replace(self._sent, offset=batch[-1][1])
        self._sent.write(self._sent_path)
        return True

    def _show(self, error: Exception) -> None:
        named = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        text = f"{named}{without_secrets(error)}"
        if text != self._last_error:  # once for each trouble, not at every attempt
            trouble = "has not accepted" if is_temporary(error) else "refuses"
            _LOG.warning("MLflow %s the latest events, which are kept (%s)", trouble, text)
            _LOG.debug("", exc_info=error)
        self._last_error = text

    def _pause(self, seconds: float) -> None:
        # While closing, the caller waits: try often. Until then, a new line need not wake us.
        self._wake.wait(min(seconds, 1.0) if self._closing.is_set() else seconds)
        self._wake.clear()
