"""What a figure shows, said once: plotly draws it for the pages, matplotlib for the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adiw_tune.tracking.colours import Look

FAINT, FAINT_LINE = 0.35, 0.6  # opacity; a thin line at 0.35 is lost


@dataclass(frozen=True)
class Points:
    """Markers of one divergence.

    Args:
        x, y: a value each.
        look: colour and marker.
        name: in the legend, which shows a name once; "" is not shown.
        hover: what the page says about each point; empty says nothing.
        faint: drawn lightly, behind the others.
        star: the one picked.
        low, high: ends of a horizontal error bar for each point; empty draws none.
    """

    x: Sequence[float]
    y: Sequence[float] | Sequence[str]
    look: Look
    name: str = ""
    hover: Sequence[str] = ()
    faint: bool = False
    star: bool = False
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Line:
    """A line through points in order of x; `step` keeps each y until the next x.

    `dotted` is of plain training, unless it is dashed.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    name: str = ""
    hover: str = ""
    dashed: bool = False
    dotted: bool = False
    faint: bool = False
    step: bool = False
    width: float = 1.5


@dataclass(frozen=True)
class Bars:
    """Horizontal bars, one for each label, from the top down, with their values written beside."""

    labels: Sequence[str]
    values: Sequence[float]
    colours: Sequence[str]
    texts: Sequence[str]


Mark = Points | Line | Bars


@dataclass(frozen=True)
class Panel:
    """A pair of axes.

    Args:
        marks: drawn one over the other.
        x_title, y_title, title: what stands beside them.
        categories: the names along y from the top down, where y has names.
        x_range: what of x is shown; None shows all.
        x_ticks: the values along x, which then is logarithmic and has no others; () leaves it
            plain.
        from_zero: whether y begins at 0, as amounts of something should.
    """

    marks: Sequence[Mark]
    x_title: str
    y_title: str = ""
    title: str = ""
    categories: Sequence[str] = ()
    x_range: tuple[float, float] | None = None
    x_ticks: Sequence[float] = ()
    from_zero: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure: panels in rows of `columns`.

    Args:
        title: what it shows.
        subtitle: how to read it.
        panels: at least one.
        columns: how many panels stand side by side.
        shared: all panels have the same axes, so that they can be compared.
        legend: its title, where there is room for one; "" shows no legend.
        note: what there is to say instead, where there is nothing to draw.
    """

    title: str
    subtitle: str
    panels: Sequence[Panel]
    columns: int = 1
    shared: bool = False
    legend: str = ""
    note: str = ""

    @property
    def rows(self) -> int:
        """How many panels stand above each other."""
        return -(-len(self.panels) // self.columns)
