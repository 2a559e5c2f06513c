"""What a search shows while it runs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from adiw_tune.decide import pareto_front
from adiw_tune.search.record import SearchRecord

_SECONDS_BETWEEN_LOOKS = 0.5


@contextmanager
def show_progress(record: SearchRecord, console: Console) -> Iterator[None]:
    """While the body runs, follow the search's events: counts, time left, and the front so far.

    On a terminal the display is redrawn in place; elsewhere each trial that ends is a line.
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
        self.stop = threading.Event()
        self.first_trial: float | None = None  # when it was seen running
        self.ended_before = _ended(record.trials())
        self.told: set[str] = set(self.ended_before["trial"])

    def run(self) -> None:
        if not self.console.is_terminal:
            while not self.stop.wait(_SECONDS_BETWEEN_LOOKS):
                self._tell_ended()
            self._tell_ended()
            return
        with Live(console=self.console, transient=True) as live:
            while not self.stop.wait(_SECONDS_BETWEEN_LOOKS):
                live.update(self._display())

    def _tell_ended(self) -> None:
        trials = self._look()
        ended = _ended(trials)
        for _, row in ended[~ended["trial"].isin(self.told)].iterrows():
            self.told.add(row["trial"])
            self.console.print(
                f"[{len(self.told)}/{self.record.settings.trials}] {_line(row)} - "
                f"{self._time_left(len(self.told))}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    def _look(self) -> pd.DataFrame:
        trials = self.record.trials()
        if self.first_trial is None and len(trials) > len(self.ended_before):
            self.first_trial = time.monotonic()
        return trials

    def _display(self) -> RenderableType:
        trials = self._look()
        counts = trials["status"].value_counts()
        total, done = self.record.settings.trials, len(_ended(trials))
        status = Text(
            f"{counts.get('finished', 0)} done, {counts.get('running', 0)} running, "
            f"{counts.get('failed', 0)} failed of {total} trials; {self._time_left(done)}"
        )
        bar = ProgressBar(total=total, completed=done, width=60)
        return Group(bar, Text(), status, _front(trials))

    def _time_left(self, done: int) -> str:
        newly = done - len(self.ended_before)
        if not newly or self.first_trial is None:
            return "time left not known yet"
        left = (time.monotonic() - self.first_trial) / newly * (self.record.settings.trials - done)
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def _ended(trials: pd.DataFrame) -> pd.DataFrame:
    return trials[trials["status"] != "running"]


def _line(row: pd.Series) -> str:
    name = f"trial {row['number']} ({row['divergence']})"
    if row["status"] != "finished":
        return f"{name} {row['status']}: {row['reason'] or ''}"
    return f"{name} accuracy {row['accuracy']:.4f} in {row['train_seconds']:.2f} s"


def _front(trials: pd.DataFrame) -> Table:
    table = Table(title="front so far", title_justify="left", box=None)
    for column in ("trial", "divergence", "accuracy", "train seconds"):
        table.add_column(column, justify="left" if column == "divergence" else "right")
    for _, row in pareto_front(trials).iterrows():
        table.add_row(
            str(row["number"]),
            row["divergence"],
            f"{row['accuracy']:.4f}",
            f"{row['train_seconds']:.2f}",
        )
    return table
