"""What a search shows while it runs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adiw_tune.metrics import Metric
from adiw_tune.record.history import History
from adiw_tune.record.provenance import versions
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import Run

_SECONDS_BETWEEN_LOOKS = 0.5
_KINDS = {
    "seed": "over seed {seed}",
    "retime": "timed alone",
    "winner": "trained again",
    "rows": "trained again for its rows",
}


@contextmanager
def show_progress(record: SearchRecord, console: Console) -> Iterator[None]:
    """While the body runs, follow the search's events: counts, time left, and the front so far.

    On a terminal the display is redrawn in place; elsewhere each run that ends is a line.
    """
    watcher = _Watcher(record, console)
    thread = threading.Thread(target=watcher.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        watcher.stop.set()
        thread.join()


class _Watcher:
    def __init__(self, record: SearchRecord, console: Console) -> None:
        self.record = record
        self.console = console
        self.history: History = record.history()
        self.stop = threading.Event()
        self.first_run: float | None = None  # when it was seen running
        self.begun_before = len(self.history.runs)
        self.told = {run.trial for run in self._ended()}
        self.told_skipped = len(self.history.skipped)
        self.told_lost = {run.trial: run.losses for run in self.history.runs.values()}
        self.done_before = len(self._ended("search"))
        self.versions = versions()
        self.told_unlike: set[str] = set()

    def run(self) -> None:
        if not self.console.is_terminal:
            while not self.stop.wait(_SECONDS_BETWEEN_LOOKS):
                self._tell_ended()
            self._tell_ended()
            return
        with Live(console=self.console, transient=True) as live:
            while not self.stop.wait(_SECONDS_BETWEEN_LOOKS):
                live.update(self._display())
                self._tell_unlike()

    def _ended(self, *kinds: str) -> list[Run]:
        every = self.history.runs.values()
        return [run for run in every if run.ended and (not kinds or run.kind in kinds)]

    def _look(self) -> None:
        self.history.refresh()
        if self.first_run is None and len(self.history.runs) > self.begun_before:
            self.first_run = time.monotonic()

    def _tell_unlike(self) -> None:
        """Once of each node: it has other versions than the driver, and numbers may differ."""
        setups = [run.setup for run in self.history.runs.values() if run.setup]
        for setup in setups:
            host, theirs = setup.get("host"), setup.get("versions", {})
            unlike = [
                f"{_called(name, theirs.get(name))} where this process has {_called(name, ours)}"
                for name, ours in self.versions.items()
                if theirs and theirs.get(name) != ours
            ]
            if unlike and host not in self.told_unlike:
                self.told_unlike.add(str(host))
                self._print(f"warning: node {host} has {'; '.join(unlike)}")

    def _tell_ended(self) -> None:
        self._look()
        self._tell_unlike()
        for point in self.history.skipped[self.told_skipped :]:
            self.told_skipped = point.number
            self._print(f"[skipped] point {point.number}, infeasible: {point.reason}")
        for run in self.history.runs.values():
            if run.losses > self.told_lost.get(run.trial, 0):
                self.told_lost[run.trial] = run.losses
                self._print(f"[lost] {_name(run)}at epoch {len(run.epochs)}: {run.lost_for}")
        for run in self._ended():
            if run.trial not in self.told:
                self.told.add(run.trial)
                self._print(f"{self._place(run)} {_line(run, self.history.metric)}")

    def _print(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _place(self, run: Run) -> str:
        if run.kind != "search":
            return "[finale]"
        told = sum(self.history.runs[trial].kind == "search" for trial in self.told)
        return f"[{told}/{self.record.settings.trials}, {self._time_left(told)}]"

    def _display(self) -> RenderableType:
        self._look()
        done, total = len(self._ended("search")), self.record.settings.trials
        running = len(self.history.unfinished)
        bar = ProgressBar(total=total, completed=done, width=60)
        return Group(bar, Text(), Text(self._status(done, running)), _front(self.history))

    def _status(self, done: int, running: int) -> str:
        if self.history.in_finale:
            return f"finale: {len(self._ended(*_KINDS))} runs done, {running} running"
        counts = [sum(r.status == s for r in self._ended("search")) for s in ("pruned", "failed")]
        skipped = len(self.history.skipped)
        passed_over = f"; {skipped} infeasible points skipped" if skipped else ""
        return (
            f"{done} of {self.record.settings.trials} trials done, of which {counts[0]} cut early "
            f"and {counts[1]} failed; {running} running{passed_over}; {self._time_left(done)}"
        )

    def _time_left(self, done: int) -> str:
        """Before the finale."""
        newly = done - self.done_before
        if not newly or self.first_run is None:
            return "time left not known yet"
        left = (time.monotonic() - self.first_run) / newly * (self.record.settings.trials - done)
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def _called(package: str, version: str | None) -> str:
    return f"{package} {version}" if version else f"no {package}"


def _name(run: Run) -> str:
    again = _KINDS[run.kind].format(**run.config) + " " if run.kind in _KINDS else ""
    return f"trial {run.number} ({run.arm}) {again}"


def _line(run: Run, metric: Metric) -> str:
    name = _name(run)
    if run.status != "finished":
        return f"{name}{run.status}: {run.reason or ''}"
    if run.kind == "retime":
        epochs = "epoch" if len(run.epochs) == 1 else f"{len(run.epochs)} epochs"
        return f"{name}{run.last('wall_s'):.2f} s in the first {epochs}"
    value = metric.text(run.value(metric))
    return f"{name}{metric.name} {value} in {run.last('work_s'):.2f} s of work"


def _front(history: History) -> Table:
    table, metric = Table(title="front so far", title_justify="left", box=None), history.metric
    for column in ("trial", "divergence", metric.name, "seconds of work"):
        table.add_column(column, justify="left" if column == "divergence" else "right")
    if not history.of_kind("search"):
        return table
    for _, row in history.front().iterrows():
        table.add_row(
            str(row["number"]),
            row["divergence"],
            metric.text(row[metric.name]),
            f"{row['work_s']:.2f}",
        )
    return table
