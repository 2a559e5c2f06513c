"""The front: accuracy against training seconds, as a page of its own and as a picture.

The page holds plotly.js itself, so it opens without a network; the picture is drawn by matplotlib,
because plotly's own export needs a Chrome.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from adiw_tune.tracking.colours import look_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from plotly.graph_objects import Figure

TITLE = "Accuracy against training time"
_X = "training seconds"
_Y = "accuracy"
_LINE = "#8A8A8A"
_FAINT = 0.35
_COLUMNS = {"trial", "number", "divergence", "accuracy", "train_seconds", "epochs", "status"}
_COLUMNS |= {"on_front"}


def front_figure(trials: pd.DataFrame, best: str | None = None) -> Figure:
    """Draw all trials, the front among them, and the winner as a star.

    Args:
        trials: columns trial, number, divergence, accuracy, train_seconds, epochs, status and
            on_front; further columns are shown as the trial's configuration on hover. Trials
            without a finite accuracy and time are left out.
        best: the winner's trial.
    """
    import plotly.graph_objects as go

    drawn = _drawable(trials)
    figure = go.Figure(layout=_layout(trials, drawn))
    front = drawn[drawn["on_front"]].sort_values("train_seconds")
    figure.add_scatter(
        x=front["train_seconds"],
        y=front["accuracy"],
        mode="lines",
        line={"shape": "hv", "color": _LINE, "width": 1.5},
        name="front",
        hoverinfo="skip",
    )
    for divergence, rows in drawn.groupby("divergence", sort=True):
        _add_divergence(figure, str(divergence), rows)
    winner = drawn[drawn["trial"].astype(str) == best]
    if len(winner):
        _add_winner(figure, winner)
    return figure


def write_front_html(trials: pd.DataFrame, path: Path, best: str | None = None) -> None:
    """Write `front_figure` as one HTML file that loads nothing from anywhere (about 5 MB)."""
    front_figure(trials, best).write_html(
        path,
        include_plotlyjs=True,
        include_mathjax=False,
        default_height="95vh",
        config={"displaylogo": False, "responsive": True},
    )


def write_front_png(trials: pd.DataFrame, path: Path, best: str | None = None) -> None:
    """Write the same picture as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    drawn = _drawable(trials)
    canvas = Canvas(figsize=(9, 5.6), dpi=150, layout="constrained")
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    _draw_points(axes, drawn, best)
    _draw_frame(axes, trials, drawn)
    canvas.savefig(path)


def _drawable(trials: pd.DataFrame) -> pd.DataFrame:
    numbers = trials[["accuracy", "train_seconds"]].apply(pd.to_numeric, errors="coerce")
    finite = numbers.replace([float("inf"), -float("inf")], float("nan")).notna().all(axis=1)
    drawn: pd.DataFrame = trials[finite].copy()
    drawn[numbers.columns] = numbers[finite]
    drawn["on_front"] = drawn["on_front"].astype(bool)
    return drawn


def _subtitle(trials: pd.DataFrame, drawn: pd.DataFrame) -> str:
    missing = len(trials) - len(drawn)
    text = f"{len(drawn)} trials, {int(drawn['on_front'].sum())} on the front; upper left is better"
    return text + (f"; {missing} without a result not drawn" if missing else "")


def _layout(trials: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, Any]:
    axis = {"showgrid": True, "gridcolor": "#EBEBEB", "zeroline": False, "linecolor": "#B0B0B0"}
    return {
        "template": "none",
        "title": {"text": TITLE, "subtitle": {"text": _subtitle(trials, drawn)}, "x": 0.05},
        "xaxis": {**axis, "title": {"text": _X, "standoff": 12}},
        "yaxis": {**axis, "title": {"text": _Y, "standoff": 12}},
        "legend": {"title": {"text": "divergence or method"}},
        "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#333333"},
        "margin": {"l": 80, "r": 30, "t": 90, "b": 70},
        "hoverlabel": {"bgcolor": "white", "font": {"color": "#333333"}},
    }


def _add_divergence(figure: Figure, divergence: str, rows: pd.DataFrame) -> None:
    look = look_of(divergence)
    opacity = [1.0 if on_front else _FAINT for on_front in rows["on_front"]]
    marker = {"color": look.colour, "symbol": look.plotly_marker, "size": 11}
    shared: dict[str, Any] = {"mode": "markers", "name": divergence, "legendgroup": divergence}
    # The legend shows a trace's first point, which may be a faint one: give it a trace of its own.
    figure.add_scatter(x=[None], y=[None], marker=marker, hoverinfo="skip", **shared)
    figure.add_scatter(
        x=rows["train_seconds"],
        y=rows["accuracy"],
        marker={**marker, "opacity": opacity},
        showlegend=False,
        **shared,
        text=[_hover(row) for row in rows.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _add_winner(figure: Figure, winner: pd.DataFrame) -> None:
    look = look_of(str(winner["divergence"].iloc[0]))
    figure.add_scatter(
        x=winner["train_seconds"],
        y=winner["accuracy"],
        mode="markers",
        name="picked",
        marker={
            "symbol": "star",
            "size": 22,
            "color": look.colour,
            "line": {"color": "black", "width": 1.5},
        },
        text=[_hover(row) for row in winner.to_dict("records")],
        hovertemplate="%{text}<extra></extra>",
    )


def _hover(row: dict[Any, Any]) -> str:
    lines = [
        f"<b>{row['divergence']}</b>, trial {row['trial']} (number {row['number']})",
        f"accuracy {row['accuracy']:.4f} in {row['train_seconds']:.2f} s, {row['epochs']} epochs",
        f"{row['status']}, {'on the front' if row['on_front'] else 'not on the front'}",
    ]
    config = {key: value for key, value in row.items() if key not in _COLUMNS}
    lines += [f"{key} = {_short(value)}" for key, value in config.items() if pd.notna(value)]
    return "<br>".join(lines)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _draw_points(axes: Axes, drawn: pd.DataFrame, best: str | None) -> None:
    front = drawn[drawn["on_front"]].sort_values("train_seconds")
    corners = (front["train_seconds"], front["accuracy"])
    axes.step(*corners, where="post", color=_LINE, lw=1.2, zorder=1, label="front")
    for divergence, rows in drawn.groupby("divergence", sort=True):
        look = look_of(str(divergence))
        for on_front, some in rows.groupby("on_front"):
            axes.scatter(
                some["train_seconds"],
                some["accuracy"],
                s=70,
                c=look.colour,
                marker=look.matplotlib_marker,
                linewidths=0,
                alpha=1.0 if on_front else _FAINT,
                zorder=3 if on_front else 2,
            )
        axes.scatter([], [], s=70, c=look.colour, marker=look.matplotlib_marker, label=divergence)
    for row in drawn[drawn["trial"].astype(str) == best].to_dict("records"):
        colour = look_of(str(row["divergence"])).colour
        at = ([row["train_seconds"]], [row["accuracy"]])
        axes.scatter(*at, s=330, c=colour, marker="*", edgecolors="black", zorder=4, label="picked")


def _draw_frame(axes: Axes, trials: pd.DataFrame, drawn: pd.DataFrame) -> None:
    axes.set_title(TITLE, loc="left", fontsize=14, pad=24)
    axes.text(0, 1.02, _subtitle(trials, drawn), transform=axes.transAxes, color="#595959")
    axes.set_xlabel(_X)
    axes.set_ylabel(_Y)
    axes.grid(color="#EBEBEB")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(drawn):
        axes.legend(title="divergence or method", loc="center left", bbox_to_anchor=(1.0, 0.5))
