"""A configuration along a dial: what turning it gives in throughput and a metric, and costs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pandas as pd

from adiw_tune.tracking.colours import GREY, Look
from adiw_tune.tracking.figures.chart import Chart, Line, Mark, Panel, Points
from adiw_tune.tracking.figures.front import on_select

_WALL, _WORK = Look("#0072B2", "circle", "o"), Look("#8C6D1F", "square", "s")
_ONE = Look("#1A1A1A", "diamond", "D")  # of what is measured in one way
_READ = "Circles: wall time in training; squares: work, as calibrated alone; dashed: as the first"


def scale_chart(dial: str, axis: str, what: str, curve: pd.DataFrame, metric: str) -> Chart:
    """Throughput, efficiency, seconds of an epoch, memory and the metric along a dial.

    Args:
        dial, axis: its name, and what its values count.
        what: the configuration, in a few words.
        curve: as of :class:`adiw_tune.tracking.scaling.ScaleRun`.
        metric: its name.
    """
    drawn = curve[curve["status"] == "finished"]
    missing = ", ".join(str(value) for value in curve["value"].drop(drawn.index))
    return Chart(
        title=f"Along the dial {dial}: {what}",
        subtitle=_READ + (f"; failed: {missing}" if missing else ""),
        panels=_panels(dial, axis, drawn, metric),
        columns=2,
        note="" if len(drawn) else "No point has finished.",
    )


def _panels(dial: str, axis: str, drawn: pd.DataFrame, metric: str) -> list[Panel]:
    x = [float(value) for value in drawn["value"]]

    def panel(y_title: str, *marks: Iterator[Mark], from_zero: bool = True) -> Panel:
        return Panel([*chain(*marks)], axis, y_title, x_ticks=x, from_zero=from_zero)

    def curve(column: str, look: Look) -> Iterator[Mark]:
        y = [float(value) for value in drawn[column]]
        yield Line(x, y, look.colour)
        yield Points(x, y, look, hover=[column] * len(x))

    workers = dial == "workers"
    share = "efficiency of a worker" if workers else "relative throughput"
    return [
        panel(
            "training rows per second",
            _dashed(x, _as_first(x, drawn["rows_per_s"]) if workers else []),
            curve("rows_per_s", _WALL),
            curve("rows_per_work_s", _WORK),
        ),
        panel(share, _dashed(x, [1.0] * len(x)), curve("efficiency", _WALL if workers else _WORK)),
        panel("seconds per epoch", curve("wall_s", _WALL), curve("work_s", _WORK)),
        panel("peak memory (GiB)", curve("peak_memory_gib", _ONE)),
        panel(on_select(metric), curve(metric, _ONE), from_zero=False),
    ]


def _dashed(x: list[float], y: list[float]) -> Iterator[Mark]:
    if y:
        yield Line(x, y, GREY, dashed=True)


def _as_first(workers: list[float], rows_per_s: pd.Series) -> list[float]:
    """What there would be if each worker had the throughput of the first point's."""
    return [float(rows_per_s.iloc[0]) * count / workers[0] for count in workers]
