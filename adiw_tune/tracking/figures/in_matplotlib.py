"""Charts as pictures: plotly's own export needs a Chrome, matplotlib needs nothing."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adiw_tune.tracking.figures.chart import (
    FAINT,
    FAINT_LINE,
    Bars,
    Chart,
    Line,
    Mark,
    Panel,
    Points,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100  # a picture of 9 inches fits on a run's page in MLflow
_WIDTH_INCHES = 9.0
_HEAD_INCHES = 0.8  # for title and subtitle


def write_picture(chart: Chart, path: Path) -> None:
    """Write a chart as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = _size(chart)
    below_head = ConstrainedLayoutEngine(rect=(0, 0, 1, 1 - _HEAD_INCHES / height))
    canvas = Canvas(figsize=(width, height), dpi=_DPI, layout=below_head)
    FigureCanvasAgg(canvas)
    compared = chart.shared or bool(chart.panels[0].categories)
    grid = canvas.subplots(
        chart.rows, chart.columns, squeeze=False, sharex=chart.shared, sharey=compared
    )
    places = list(chain.from_iterable(grid))
    for index, (axes, panel) in enumerate(zip(places, chart.panels, strict=False)):
        _draw_panel(axes, panel)
        if chart.shared and index + chart.columns < len(chart.panels):
            axes.set_xlabel("")
        elif chart.shared:  # nothing may stand below it
            axes.tick_params(labelbottom=True)
        if compared and index % chart.columns:
            axes.set_ylabel("")
    for axes in places[len(chart.panels) :]:
        axes.remove()
    _draw_frame(canvas, chart)
    canvas.savefig(path)


def _size(chart: Chart) -> tuple[float, float]:
    if names := chart.panels[0].categories:
        return _WIDTH_INCHES, _HEAD_INCHES + 0.9 + 0.42 * len(names)
    return _WIDTH_INCHES, _HEAD_INCHES + (4.4 if chart.rows == 1 else 2.7 * chart.rows)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for mark in panel.marks:
        _draw(axes, mark, panel)
    axes.set_title(_plain(panel.title), fontsize=10, loc="left")
    axes.set_xlabel(panel.x_title)
    axes.set_ylabel(panel.y_title)
    if panel.x_ticks:
        axes.set_xscale("log", base=2)
        axes.set_xticks(panel.x_ticks, [f"{tick:g}" for tick in panel.x_ticks])
        axes.minorticks_off()
    else:
        axes.locator_params(axis="x", nbins=6)
    axes.grid(color="#EBEBEB")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.categories:
        names = [_plain(name) for name in panel.categories]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
    if panel.x_range:
        axes.set_xlim(*panel.x_range)
    if panel.from_zero:
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])  # the highest marker needs room


def _draw(axes: Axes, mark: Mark, panel: Panel) -> None:
    if isinstance(mark, Points):
        _draw_points(axes, mark, _heights(mark, panel))
    elif isinstance(mark, Line):
        _draw_line(axes, mark)
    else:
        _draw_bars(axes, mark)


def _heights(mark: Points, panel: Panel) -> list[Any]:
    places = {name: place for place, name in enumerate(panel.categories)}
    return [places[y] if isinstance(y, str) else y for y in mark.y]


def _draw_points(axes: Axes, mark: Points, y: list[Any]) -> None:
    look: dict[str, Any] = {"c": mark.look.colour, "marker": mark.look.matplotlib_marker, "s": 60}
    look |= {"linewidths": 0, "alpha": FAINT if mark.faint else 1.0}
    if mark.look.hollow:
        look |= {"c": "none", "edgecolors": mark.look.colour, "linewidths": 2.0}
    if mark.star:
        look |= {"c": mark.look.colour}
        look |= {"marker": "*", "s": 300, "edgecolors": "black", "linewidths": 1.0}
    axes.scatter(mark.x, y, zorder=2 if mark.faint else 4 if mark.star else 3, **look)
    if mark.low:
        axes.hlines(y, mark.low, mark.high, colors=mark.look.colour, lw=2.5, zorder=3)


def _draw_line(axes: Axes, mark: Line) -> None:
    axes.plot(
        mark.x,
        mark.y,
        color=mark.colour,
        lw=mark.width,
        ls=_dash(mark),
        alpha=FAINT_LINE if mark.faint else 1.0,
        drawstyle="steps-post" if mark.step else "default",
        zorder=1,
    )


def _draw_bars(axes: Axes, mark: Bars) -> None:
    bars = axes.barh(range(len(mark.labels)), mark.values, 0.6, color=list(mark.colours))
    axes.bar_label(bars, labels=list(mark.texts), padding=4)


def _draw_frame(canvas: Figure, chart: Chart) -> None:
    height = canvas.get_figheight()
    canvas.text(0.01, 1 - 0.12 / height, chart.title, va="top", fontsize=14)
    canvas.text(0.01, 1 - 0.45 / height, chart.subtitle, va="top", color="#595959")
    keys = _keys(chart)
    if chart.legend and keys:
        canvas.legend(handles=keys, title=chart.legend, loc="outside right center")
    if chart.note:
        canvas.text(0.5, 0.5, chart.note, ha="center")


def _keys(chart: Chart) -> list[Any]:
    """Return an entry of the legend for each name, as its first mark looks when it is not faint."""
    from matplotlib.lines import Line2D

    keys: dict[str, Any] = {}
    for mark in chain.from_iterable(panel.marks for panel in chart.panels):
        if isinstance(mark, Bars) or not mark.name or mark.name in keys:
            continue
        look = _line_key(mark) if isinstance(mark, Line) else _points_key(mark)
        keys[mark.name] = Line2D([], [], label=_plain(mark.name), **look)
    return list(keys.values())


def _line_key(mark: Line) -> dict[str, Any]:
    alpha = FAINT_LINE if mark.faint else 1.0
    return {"color": mark.colour, "ls": _dash(mark), "lw": mark.width, "alpha": alpha}


def _dash(mark: Line) -> str:
    return "--" if mark.dashed else ":" if mark.dotted else "-"


def _points_key(mark: Points) -> dict[str, Any]:
    look: dict[str, Any] = {"color": mark.look.colour, "ls": ""}
    if mark.star:
        return look | {"marker": "*", "ms": 14, "mec": "black"}
    look |= {"marker": mark.look.matplotlib_marker, "ms": 8, "mec": "none"}
    if mark.look.hollow:
        look |= {"mfc": "none", "mec": mark.look.colour, "mew": 2.0}
    return look


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # matplotlib would read mathematics between two of them
