"""What is minimised: how far the weighted training sample is from the reference sample."""

from dataclasses import fields

from adiw_tune.divergences.base import Divergence, Local, WeightObjective
from adiw_tune.divergences.contract import check_divergence, require_form
from adiw_tune.divergences.energy import Energy
from adiw_tune.divergences.kernels import DEFAULT_BANDWIDTHS
from adiw_tune.divergences.kl import KL
from adiw_tune.divergences.mmd import MMD
from adiw_tune.divergences.own import load_divergence
from adiw_tune.divergences.pearson import Pearson
from adiw_tune.divergences.squared import SquaredDistance
from adiw_tune.divergences.wasserstein import Wasserstein
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_positive, shown
from adiw_tune.user_file import is_file

# A new divergence is one file beside this one and one line here.
DIVERGENCES: dict[str, type] = {
    "mmd": MMD,
    "kl": KL,
    "squared": SquaredDistance,
    "wasserstein": Wasserstein,
    "energy": Energy,
    "pearson": Pearson,
}


def has_bandwidth(name: str) -> bool:
    """Whether the divergence called ``name`` has a kernel, and so a bandwidth to choose.

    One of a user's own file has none that could be chosen from outside.
    """
    return not is_file(name) and any(
        field.name == "bandwidth" for field in fields(DIVERGENCES[name])
    )


def make_divergence(name: str, bandwidth: float | None = None) -> Divergence:
    """The divergence called ``name``.

    Args:
        name: a key of :data:`DIVERGENCES`, or the path of a Python file, ending in ``.py``, that
            defines ``DIVERGENCE``, an object with the method of :class:`Divergence`. The file is
            code and runs with the rights of whoever names it.
        bandwidth: kernel width in units of the median pairwise distance, in [1e-6, 1e6]; None for
            the default, which is that of losses or of features, whichever it is prepared with
            (:data:`DEFAULT_BANDWIDTHS`), and for a divergence without a kernel.
    """
    if not isinstance(name, str):
        raise UserError(
            f"divergence must be a name or the path of a Python file; got {shown(name):.100}"
        )
    if is_file(name):
        if bandwidth is not None:
            raise UserError(f"divergence '{name}' sets its bandwidth itself: leave bandwidth out")
        return load_divergence(name)
    if name not in DIVERGENCES:
        raise UserError(
            f"unknown divergence '{name}': choose one of {', '.join(DIVERGENCES)}, "
            "or a Python file, path/to/file.py"
        )
    if bandwidth is None:
        return DIVERGENCES[name]()  # type: ignore[no-any-return]
    if not has_bandwidth(name):
        raise UserError(f"divergence '{name}' has no kernel: leave bandwidth out")
    check_positive("bandwidth", bandwidth, 1e-6, 1e6)
    return DIVERGENCES[name](bandwidth=bandwidth)  # type: ignore[no-any-return]


__all__ = [
    "DEFAULT_BANDWIDTHS",
    "DIVERGENCES",
    "KL",
    "MMD",
    "Divergence",
    "Energy",
    "Local",
    "Pearson",
    "SquaredDistance",
    "Wasserstein",
    "WeightObjective",
    "check_divergence",
    "has_bandwidth",
    "make_divergence",
    "require_form",
]
