"""Arms: what the trials of a search are compared by, a divergence or a method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Plain training, which weighting has to beat: all weights are 1. On the training rows alone, on
# these and the reference rows, on the reference rows alone.
BASELINES = ("erm", "pooled", "clean-only")


def arm(config: Mapping[str, Any]) -> str:
    """The divergence of a configuration, or its method where that is not adiw.

    Of a user's own divergence, which is a path, it is the file's name. erm with a reference weight
    counts as pooled, and pooled without one as erm.
    """
    method = config.get("method", "adiw")
    if method == "adiw":
        return Path(str(config["divergence"])).name
    weight = config.get("reference_weight")
    if method in ("erm", "pooled") and weight is not None:
        return "pooled" if weight > 0 else "erm"
    return str(method)
