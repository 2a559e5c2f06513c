"""Maximum mean discrepancy: kernel mean matching (KMM), the divergence of the original DIW."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences.base import Local
from adiw_tune.divergences.kernels import Recomputed, distances, in_bandwidths, matrix


@dataclass(frozen=True)
class MMD:
    """Half the squared MMD between the w-weighted source and the target, up to a constant.

        f(w) = w'Kw / 2n² - k'w / n,   K_ij = k(z_i, z_j),   k_i = mean_j k(z_i, v_j)

    with the Gaussian kernel k(a, b) = exp(-‖a-b‖²/2σ²) and σ = ``bandwidth`` × the median pairwise
    distance of the pooled mini-batch. The constant left out, mean_jl k(v_j, v_l) / 2, does not
    depend on w and would cost another kernel.

    Args:
        bandwidth: dimensionless, above 0; None for the default of losses or of features.

    Source: Huang et al., "Correcting sample selection bias by unlabeled data", NeurIPS 2007.
    """

    bandwidth: float | None = None

    def prepare(self, source: Tensor, target: Tensor) -> "MMDObjective":
        """The kernel within the source, and its mean across to the target."""
        z, v = in_bandwidths(source, target, self.bandwidth)
        return MMDObjective.of(gaussian, z, v)


def gaussian(a: Tensor, b: Tensor) -> Tensor:
    """exp(-‖a_i - b_j‖²): [n, m], of points in units of σ√2."""
    return distances(a, b).square_().neg_().exp_()


@dataclass(frozen=True)
class MMDObjective:
    """f(w) = w'Kw/2n² - k'w/n with K: [n, n], symmetric, PSD, entries >= 0, and k: [n]."""

    kernel: Tensor | Recomputed
    mean_to_target: Tensor
    curvature: Tensor

    @classmethod
    def of(cls, kernel: Callable[[Tensor, Tensor], Tensor], z: Tensor, v: Tensor) -> "MMDObjective":
        """For any such kernel: ([a, d], [b, d]) -> [a, b].

        No eigenvalue of K exceeds its largest row sum (Perron, Frobenius), which is 0 only for
        K = 0: any curvature does then.
        """
        n, m = len(z), len(v)
        within = matrix(lambda points: kernel(points, z), z, columns=n)
        across = matrix(lambda points: kernel(points, v), z, columns=m)
        row_sums = within @ z.new_full((n,), 1 / n**2)
        return cls(
            kernel=within,
            mean_to_target=across @ z.new_full((m,), 1 / m),
            curvature=row_sums.max().clamp_min(torch.finfo(z.dtype).eps),
        )

    def at(self, w: Tensor) -> Local:
        """f, (Kw/n - k)/n and the largest row sum of K/n²."""
        n = len(w)
        reached = self.kernel @ (w / n)
        return Local(
            value=(reached / 2 - self.mean_to_target) @ w / n,
            gradient=(reached - self.mean_to_target) / n,
            curvature=self.curvature,
        )
