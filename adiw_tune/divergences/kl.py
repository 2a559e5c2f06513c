"""Kullback-Leibler divergence, kernel-smoothed (KLIEP)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences.base import Local
from adiw_tune.divergences.kernels import Recomputed
from adiw_tune.divergences.ratio import column_means, smoothers


@dataclass(frozen=True)
class KL:
    """KL divergence from the target to the r_w-weighted source, in its variational form.

        f(w) = -mean_j log r_w(v_j) + mean_i r_w(z_i) - 1

    r_w(x) = Σ_i a_i(x) w_i is the kernel smoother of :mod:`adiw_tune.divergences.ratio`. The
    second mean is KLIEP's constraint E_source[r] = 1 as a term of the objective. With it w = 1 is
    optimal when source and target are the same sample, which the first mean alone does not give:
    points at the rim of the sample would be pushed from 1.

    Args:
        bandwidth: kernel width in units of the median pairwise distance, above 0; None for the
            default of losses or of features.

    Source: Sugiyama et al., "Direct importance estimation for covariate shift adaptation", AISM
    2008; Nguyen, Wainwright, Jordan, "Estimating divergence functionals", 2010, for the form.
    """

    bandwidth: float | None = None

    def prepare(self, source: Tensor, target: Tensor) -> "KLObjective":
        """The smoother at the target points, and its mean over the source points."""
        at_target, at_source = smoothers(source, target, self.bandwidth)
        return KLObjective(at_target, column_means(at_source, len(source), source), len(target))


@dataclass(frozen=True)
class KLObjective:
    """f(w) = -mean_j log (Aw)_j + b'w - 1 with A: [m, n], b: [n]; A1 = 1 and b'1 = 1."""

    smoother: Tensor | Recomputed
    mass: Tensor
    m: int

    def at(self, w: Tensor) -> Local:
        """f, b - A'(1/Aw)/m, and the largest row sum of the Hessian A' diag(1/(Aw)²) A / m.

        Its entries are >= 0, so that no eigenvalue exceeds it. It holds at w only: near the
        border it grows without bound, and so r_w is kept above 0 there.
        """
        ratios = (self.smoother @ w).clamp_min(1e-6)
        inverse = 1 / ratios
        pull, row_sums = (torch.stack([inverse, inverse.square()]) @ self.smoother) / self.m
        return Local(
            value=self.mass @ w - ratios.log().mean() - 1,
            gradient=self.mass - pull,
            curvature=row_sums.max(),  # A1 = 1
        )
