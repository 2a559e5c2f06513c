"""Maximum mean discrepancy: kernel mean matching (KMM), the divergence of the original DIW."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences.kernels import as_points, median_distance, scaled_squared_distances


@dataclass(frozen=True)
class MMD:
    """Half the squared MMD between the w-weighted source and the target, up to a constant.

        f(w) = w'Kw / 2n² - k'w / n,   K_ij = k(z_i, z_j),   k_i = mean_j k(z_i, v_j)

    with the Gaussian kernel k(a, b) = exp(-‖a-b‖²/2σ²) and σ = ``bandwidth`` × the median pairwise
    distance of the pooled mini-batch. The constant left out, mean_jl k(v_j, v_l) / 2, does not
    depend on w and would cost another kernel.

    Args:
        bandwidth: dimensionless, above 0.

    Source: Huang et al., "Correcting sample selection bias by unlabeled data", NeurIPS 2007.
    """

    bandwidth: float = 1.0

    def prepare(self, source: Tensor, target: Tensor) -> "MMDObjective":
        """The kernel within the source, and its mean across to the target."""
        z, v = as_points(source), as_points(target)
        sigma = self.bandwidth * median_distance(z, v)
        within = torch.exp(-scaled_squared_distances(z, z, sigma))
        across = torch.exp(-scaled_squared_distances(z, v, sigma)).mean(dim=1)
        n = len(z)
        return MMDObjective(within / n**2, across / n)


@dataclass(frozen=True)
class MMDObjective:
    """f(w) = w'Qw/2 - q'w with Q = K/n²: [n, n] and q = k/n: [n]."""

    quadratic: Tensor
    linear: Tensor

    def value(self, w: Tensor) -> Tensor:
        """f(w)."""
        return w @ (self.quadratic @ w) / 2 - self.linear @ w

    def gradient(self, w: Tensor) -> Tensor:
        """Qw - q."""
        return self.quadratic @ w - self.linear

    def curvature(self, w: Tensor) -> Tensor:
        """The largest row sum of Q: by Perron-Frobenius no eigenvalue exceeds it."""
        return self.quadratic.sum(dim=1).max()
