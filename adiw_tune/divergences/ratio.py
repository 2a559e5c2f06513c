"""The density-ratio model that KL and squared distance share: a kernel smoother of the weights.

r_w(x) = Σ_i a_i(x) w_i with a_i(x) = k(x, z_i) / Σ_l k(x, z_l), so that r_w = 1 for w = 1.
"""

import torch
from torch import Tensor

from adiw_tune.divergences.kernels import as_points, median_distance, scaled_squared_distances


def smoothers(source: Tensor, target: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
    """The smoother's rows at the target points, A_t: [m, n], and at the source points, A_s: [n, n].

    Each row is non-negative and sums to 1. Normalised by softmax, which subtracts the row's
    largest exponent first, so that a target point far from every source point gives its nearest
    source point the row's whole mass, where k / Σk would be 0/0.
    """
    z, v = as_points(source), as_points(target)
    sigma = bandwidth * median_distance(z, v)
    at_target = torch.softmax(-scaled_squared_distances(v, z, sigma), dim=1)
    at_source = torch.softmax(-scaled_squared_distances(z, z, sigma), dim=1)
    return at_target, at_source
