"""Energy distance: an MMD without a bandwidth."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences.kernels import as_points, centre_and_spread, distances
from adiw_tune.divergences.mmd import MMDObjective

# A row farther out than this many median distances counts as one that far out, or a single huge
# loss would set the scale of all steps. Skewed losses reach some tens.
_FARTHEST = 100.0


@dataclass(frozen=True)
class Energy:
    """A quarter of the energy distance of the w-weighted source to the target, up to a constant.

        f(w) = mean_ij w_i ‖z_i - v_j‖ / 2 - mean_il w_i w_l ‖z_i - z_l‖ / 4        (mean(w) = 1)

    It is the MMD of the kernel k(a, b) = (‖a-c‖ + ‖b-c‖ - ‖a-b‖)/2, which is positive
    semi-definite and has no negative entry. The centre c, a point amid the pooled sample, drops
    out where mean(w) = 1. Distances are in units of the pooled sample's median distance, and no
    row is farther from c than 100 of them.

    Source: Székely, Rizzo, "Energy statistics", 2013; Sejdinovic et al., "Equivalence of
    distance-based and RKHS-based statistics in hypothesis testing", Annals of Statistics 2013.
    """

    def prepare(self, source: Tensor, target: Tensor) -> MMDObjective:
        """The kernel within the source, and its mean across to the target."""
        z, v = as_points(source), as_points(target)
        centre, spread = centre_and_spread(z, v)
        z, v = (_within_reach((points - centre) / spread) for points in (z, v))
        return MMDObjective.of(distance_kernel, z, v)


def distance_kernel(a: Tensor, b: Tensor) -> Tensor:
    """(‖a_i‖ + ‖b_j‖ - ‖a_i - b_j‖)/2: [n, m]."""
    lengths = _lengths(a) + _lengths(b).T
    return lengths.sub_(distances(a, b)).clamp_min_(0).div_(2)  # rounding may fall below 0


def _lengths(points: Tensor) -> Tensor:
    """‖a_i‖: [n, 1]."""
    lengths: Tensor = torch.linalg.vector_norm(points, dim=1, keepdim=True)
    return lengths


def _within_reach(points: Tensor) -> Tensor:
    """Each row at most ``_FARTHEST`` from the origin, in its own direction: [n, d] -> [n, d]."""
    points = points.clamp(-1e9, 1e9)  # or the squares in the norm overflow float32
    return points * (_FARTHEST / _lengths(points)).clamp_max(1)
