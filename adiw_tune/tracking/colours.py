"""One fixed colour and marker for each divergence and each baseline method.

The colours are Okabe and Ito's, which people with the common kinds of colour blindness tell apart;
the marker is a second channel. The same colour stands for the same divergence in the PNG, in the
HTML and in MLflow's own charts (the tag `mlflow.runColor`).
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32


class Look(NamedTuple):
    """How one divergence is drawn."""

    colour: str
    plotly_marker: str
    matplotlib_marker: str


_LOOKS = {
    "mmd": Look("#0072B2", "circle", "o"),
    "kl": Look("#E69F00", "square", "s"),
    "squared": Look("#009E73", "diamond", "D"),
    "wasserstein": Look("#D55E00", "triangle-up", "^"),
    "energy": Look("#CC79A7", "triangle-down", "v"),
    "diw": Look("#56B4E9", "pentagon", "p"),
    "erm": Look("#595959", "x", "X"),
    "clean-only": Look("#8C6D1F", "cross", "P"),
    "random": Look("#A6A6A6", "hexagon", "h"),
}
_OTHERS = (
    Look("#332288", "triangle-left", "<"),
    Look("#882255", "triangle-right", ">"),
    Look("#117733", "hexagon2", "H"),
    Look("#AA4499", "octagon", "8"),
)


def look_of(divergence: str) -> Look:
    """Return the look of a divergence or method; an unknown name always gets the same one."""
    return _LOOKS.get(divergence) or _OTHERS[crc32(divergence.encode()) % len(_OTHERS)]
