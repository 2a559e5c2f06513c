"""What is minimised: how far the weighted training sample is from the reference sample."""

from dataclasses import fields

from adiw_tune.divergences.base import Divergence, WeightObjective
from adiw_tune.divergences.kl import KL
from adiw_tune.divergences.mmd import MMD
from adiw_tune.divergences.squared import SquaredDistance
from adiw_tune.divergences.wasserstein import Wasserstein
from adiw_tune.errors import UserError

# A new divergence is one file beside this one and one line here.
DIVERGENCES: dict[str, type] = {
    "mmd": MMD,
    "kl": KL,
    "squared": SquaredDistance,
    "wasserstein": Wasserstein,
}


def has_bandwidth(name: str) -> bool:
    """Whether the divergence called ``name`` has a kernel, and so a bandwidth to choose."""
    return any(field.name == "bandwidth" for field in fields(DIVERGENCES[name]))


def make_divergence(name: str, bandwidth: float | None = None) -> Divergence:
    """The divergence called ``name``.

    Args:
        name: a key of :data:`DIVERGENCES`.
        bandwidth: kernel width in units of the median pairwise distance, above 0; None for the
            default, and for a divergence without a kernel.
    """
    if name not in DIVERGENCES:
        raise UserError(f"unknown divergence '{name}': choose one of {', '.join(DIVERGENCES)}")
    if bandwidth is None:
        return DIVERGENCES[name]()  # type: ignore[no-any-return]
    if not has_bandwidth(name):
        raise UserError(f"divergence '{name}' has no kernel: leave bandwidth out")
    if not bandwidth > 0:
        raise UserError(f"bandwidth must be above 0; got {bandwidth}")
    return DIVERGENCES[name](bandwidth=bandwidth)  # type: ignore[no-any-return]


__all__ = [
    "DIVERGENCES",
    "KL",
    "MMD",
    "Divergence",
    "SquaredDistance",
    "Wasserstein",
    "WeightObjective",
    "has_bandwidth",
    "make_divergence",
]
