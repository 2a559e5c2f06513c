"""The points of a dial as a table: what each came to, and how well it scales."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from adiw_tune.metrics import ACCURACY
from adiw_tune.scaling.dial import Point
from adiw_tune.scaling.point import Failed
from adiw_tune.scaling.worker import Measured

_NUMBERS = [
    "rows_per_s",
    "rows_per_work_s",
    "efficiency",
    "wall_s",
    "work_s",
    "plain_s",
    "ratio",
    "peak_memory_gib",
]
_GIB = 2**30


def curve(
    dial: str, outcomes: Sequence[tuple[Point, Measured | Failed]], metric: str = ACCURACY.name
) -> pd.DataFrame:
    """One row for each point, in their order.

    Columns ``dial``, ``value``, ``status`` (finished or failed), the numbers of :class:`Measured`
    (memory in GiB; the metric by its name), NaN where the point failed, ``efficiency``, and
    ``reason`` of a failure. With p
    the value, and 0 for the first point that finished, the efficiency is

        (r / p) / (r_0 / p_0)   for workers, r their rows per second of wall time, in which they
                                wait for each other: what is left of one's throughput;
        q / q_0                 for the other dials, q the rows per second of work: throughput
                                relative to the first point's, whatever else the machine does.
    """
    rows = [_row(dial, metric, *outcome) for outcome in outcomes]
    numbers = [*_NUMBERS, metric]
    table = pd.DataFrame(rows, columns=["dial", "value", "status", *numbers, "reason"])
    table = table.astype(dict.fromkeys(numbers, "float64"))
    alone = dial != "workers"
    rate = table["rows_per_work_s"] if alone else table["rows_per_s"] / table["value"]
    first = next(iter(rate.dropna()), float("nan"))
    return table.assign(efficiency=rate / first)


def _row(dial: str, metric: str, point: Point, outcome: Measured | Failed) -> dict[str, object]:
    row: dict[str, object] = {"dial": dial, "value": point.value}
    if isinstance(outcome, Failed):
        return {**row, "status": "failed", "reason": outcome.reason}
    peak = outcome.peak_memory_bytes
    gib = None if peak is None else peak / _GIB
    numbers = {**asdict(outcome), "peak_memory_gib": gib, metric: outcome.metric_value}
    return {**row, "status": "finished", **numbers}
