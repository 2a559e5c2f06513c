"""One fixed colour and marker for each divergence and each baseline method.

The colours are Okabe and Ito's, which people with the common kinds of colour blindness tell apart;
the marker is a second channel, hollow for the baselines. The same colour stands for the same
divergence in the PNG, in the HTML and in MLflow's own charts (the tag `mlflow.runColor`).
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32


class Look(NamedTuple):
    """How one divergence is drawn."""

    colour: str
    plotly_marker: str
    matplotlib_marker: str
    hollow: bool = False  # plain training: there are no weights in it


GREY = "#8A8A8A"  # of what belongs to no divergence
_NOBODY = Look(GREY, "circle", "o")

_LOOKS = {
    "mmd": Look("#0072B2", "circle", "o"),
    "kl": Look("#E69F00", "square", "s"),
    "squared": Look("#009E73", "diamond", "D"),
    "wasserstein": Look("#D55E00", "triangle-up", "^"),
    "energy": Look("#CC79A7", "triangle-down", "v"),
    "pearson": Look("#332288", "triangle-left", "<"),
    "auto": Look("#000000", "diamond-wide", "d"),
    "giw": Look("#882255", "triangle-right", ">"),
    "diw": Look("#56B4E9", "pentagon", "p"),
    "erm": Look("#595959", "circle-open", "o", hollow=True),
    "pooled": Look("#A0522D", "square-open", "s", hollow=True),
    "clean-only": Look("#7A8B00", "diamond-open", "D", hollow=True),
    "random": Look("#A6A6A6", "hexagon", "h"),
}
_OTHERS = (
    Look("#117733", "hexagon2", "H"),
    Look("#AA4499", "octagon", "8"),
)


def look_of(divergence: str) -> Look:
    """Return the look of a divergence or method; an unknown name always gets the same one.

    No name, "", is grey.
    """
    if not divergence:
        return _NOBODY
    return _LOOKS.get(divergence) or _OTHERS[crc32(divergence.encode()) % len(_OTHERS)]
