"""The density-ratio model that KL, Pearson and squared distance share: a smoother of the weights.

r_w(x) = Σ_i a_i(x) w_i with a_i(x) = k(x, z_i) / Σ_l k(x, z_l), so that r_w = 1 for w = 1.
"""

import torch
from torch import Tensor

from adiw_tune.divergences.kernels import Recomputed, distances, in_bandwidths, matrix


def smoothers(
    source: Tensor, target: Tensor, bandwidth: float | None
) -> tuple[Tensor | Recomputed, Tensor | Recomputed]:
    """The smoother's rows at the target points, A_t: [m, n], and at the source points, A_s: [n, n].

    Each row is non-negative and sums to 1. Normalised by softmax, which subtracts the row's
    largest exponent first, so that a target point far from every source point gives its nearest
    source point the row's whole mass, where k / Σk would be 0/0.
    """
    z, v = in_bandwidths(source, target, bandwidth)

    def shares(points: Tensor) -> Tensor:
        # A row of infinities would make the softmax of its negative NaN.
        exponents = distances(points, z).square_().clamp_max_(torch.finfo(z.dtype).max)
        return exponents.neg_().softmax(dim=1)

    return matrix(shares, v, len(z)), matrix(shares, z, len(z))


def column_means(smoother: Tensor | Recomputed, rows: int, like: Tensor) -> Tensor:
    """The mean share of each source point over the ``rows`` of a smoother: [r, n] -> [n]."""
    return like.new_full((rows,), 1 / rows) @ smoother
