"""Charts as pages: plotly figures, and HTML files that load nothing from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
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
from adiw_tune.tracking.html import document

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_AXIS = {"gridcolor": "#EBEBEB", "zeroline": False, "linecolor": "#B0B0B0", "automargin": True}
_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#333333"}
_TITLE = {"standoff": 8, "font": {"size": 13}}
_FRAME_PIXELS = 110
_CONFIG = {"displaylogo": False, "responsive": True}


def figure_of(chart: Chart) -> Figure:
    """Draw a chart; title and subtitle are left to the page."""
    from plotly.subplots import make_subplots

    compared = chart.shared or _has_categories(chart)
    figure = make_subplots(
        rows=chart.rows,
        cols=chart.columns,
        subplot_titles=[escape(panel.title) for panel in chart.panels],
        shared_xaxes="all" if chart.shared else False,
        shared_yaxes="all" if compared else False,
        horizontal_spacing=0.04 if compared else 0.1,
        vertical_spacing=0.2 / chart.rows,
    )
    named: set[str] = set()
    for index, panel in enumerate(chart.panels):
        place = {"row": index // chart.columns + 1, "col": index % chart.columns + 1}
        for mark in panel.marks:
            for trace in _traces(mark, named):
                figure.add_trace(trace, **place)
        lowest = not chart.shared or index + chart.columns >= len(chart.panels)
        _draw_axes(figure, panel, place, lowest, leftmost=not compared or place["col"] == 1)
    _draw_frame(figure, chart)
    return figure


def write_page(charts: Sequence[Chart], path: Path) -> None:
    """Write charts below each other as one HTML file, which loads nothing from anywhere."""
    parts = [section(chart) for chart in charts]
    path.write_text(document(charts[0].title, parts), encoding="utf-8")


def section(chart: Chart) -> str:
    """Return title, subtitle and chart as a `<section>` for a page that has plotly.js."""
    from plotly.io import to_html

    plot = to_html(
        figure_of(chart),
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        default_height=f"{_height(chart)}px",
        config=_CONFIG,
    )
    title, subtitle = escape(chart.title), escape(chart.subtitle)
    return f"<section class='figure'><h2>{title}</h2><p>{subtitle}</p>{plot}</section>"


def _height(chart: Chart) -> int:
    if _has_categories(chart):
        return 46 * len(chart.panels[0].categories) + _FRAME_PIXELS
    return (430 if chart.rows == 1 else 260 * chart.rows) + _FRAME_PIXELS


def _has_categories(chart: Chart) -> bool:
    return bool(chart.panels[0].categories)


def _traces(mark: Mark, named: set[str]) -> list[dict[str, Any]]:
    if isinstance(mark, Bars):
        return [_bars(mark)]
    trace = _points(mark) if isinstance(mark, Points) else _line(mark)
    if not mark.name:
        return [trace | {"showlegend": False}]
    trace |= {"name": escape(mark.name), "legendgroup": mark.name, "showlegend": False}
    if mark.name in named:
        return [trace]
    named.add(mark.name)
    # The legend shows a trace's first point, which may be a faint one: give it one of its own.
    return [_key(trace), trace]


def _key(trace: dict[str, Any]) -> dict[str, Any]:
    shown = {"x": [None], "y": [None], "hoverinfo": "skip", "showlegend": True}
    kept = {key: trace[key] for key in ("type", "mode", "name", "legendgroup")}
    if "marker" in trace:
        kept["marker"] = {**trace["marker"], "opacity": 1.0}
    if "line" in trace:
        kept |= {"line": trace["line"], "opacity": trace["opacity"]}
    return kept | shown


def _points(mark: Points) -> dict[str, Any]:
    marker: dict[str, Any] = {"color": mark.look.colour, "symbol": mark.look.plotly_marker}
    marker |= {"size": 10, "opacity": FAINT if mark.faint else 1.0}
    if mark.look.hollow:
        marker |= {"line": {"width": 2}}
    if mark.star:
        marker |= {"symbol": "star", "size": 20, "line": {"color": "black", "width": 1.5}}
    y = [escape(value) if isinstance(value, str) else value for value in mark.y]
    trace = {"type": "scatter", "mode": "markers", "x": mark.x, "y": y, "marker": marker}
    if mark.low:
        ends = zip(mark.x, mark.low, mark.high, strict=True)
        plus, minus = zip(*((high - x, x - low) for x, low, high in ends), strict=True)
        trace["error_x"] = {"array": plus, "arrayminus": minus, "thickness": 2.5, "width": 6}
    return trace | _hover(mark.hover)


def _line(mark: Line) -> dict[str, Any]:
    line: dict[str, Any] = {"color": mark.colour, "width": mark.width}
    dash = "dash" if mark.dashed else "dot" if mark.dotted else "solid"
    line |= {"shape": "hv" if mark.step else "linear", "dash": dash}
    trace: dict[str, Any] = {"type": "scatter", "mode": "lines", "x": mark.x, "y": mark.y}
    trace["line"] = line
    trace["opacity"] = FAINT_LINE if mark.faint else 1.0
    return trace | _hover([mark.hover] * len(mark.x))


def _bars(mark: Bars) -> dict[str, Any]:
    labels = [escape(label) for label in mark.labels]
    trace: dict[str, Any] = {"type": "bar", "orientation": "h"}
    trace |= {"x": mark.values, "y": labels, "text": mark.texts}
    trace |= {"marker": {"color": mark.colours}, "textposition": "outside", "cliponaxis": False}
    return trace | {"showlegend": False, "hoverinfo": "skip", "width": 0.6}


def _hover(texts: Sequence[str]) -> dict[str, Any]:
    if not any(texts):
        return {"hoverinfo": "skip"}
    lines = ["<br>".join(escape(text).splitlines()) for text in texts]
    return {"text": lines, "hovertemplate": "%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>"}


def _draw_axes(
    figure: Figure, panel: Panel, place: dict[str, int], lowest: bool, leftmost: bool
) -> None:
    x_title = {"text": panel.x_title if lowest else "", **_TITLE}
    x_axis: dict[str, Any] = {"title": x_title, "range": panel.x_range, "showticklabels": lowest}
    if panel.x_ticks:
        x_axis |= {"type": "log", "tickvals": panel.x_ticks}
    figure.update_xaxes(_AXIS | x_axis, **place)
    y_title = {"text": panel.y_title if leftmost else "", **_TITLE}
    y_axis = {"title": y_title, "rangemode": "tozero" if panel.from_zero else "normal"}
    figure.update_yaxes(_AXIS | y_axis, **place)
    if panel.categories:
        names = [escape(name) for name in panel.categories]
        order = {"type": "category", "categoryorder": "array", "categoryarray": names[::-1]}
        figure.update_yaxes(order, range=[-0.6, len(names) - 0.4], **place)


def _draw_frame(figure: Figure, chart: Chart) -> None:
    figure.update_layout(
        template="none",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"},  # a title makes it too wide
        font=_FONT,
        margin={"l": 60, "r": 20, "t": 70 if chart.legend else 40, "b": 60},
        hoverlabel={"bgcolor": "white", "font": {"color": "#333333"}},
        height=_height(chart),
    )
    if chart.note:
        figure.add_annotation(
            text=chart.note, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False
        )
