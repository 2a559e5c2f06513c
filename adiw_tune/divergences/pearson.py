"""Relative Pearson divergence, kernel-smoothed (RuLSIF)."""

from dataclasses import dataclass

from torch import Tensor

from adiw_tune.divergences.base import Local
from adiw_tune.divergences.kernels import Recomputed
from adiw_tune.divergences.ratio import column_means, smoothers
from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Pearson:
    """α-relative Pearson divergence of the target from the source, in its variational form.

        f(w) = α/2 mean_j r_w(v_j)² + (1-α)/2 mean_i r_w(z_i)² - mean_j r_w(v_j)

    r_w(x) = Σ_i a_i(x) w_i is the kernel smoother of :mod:`adiw_tune.divergences.ratio`. Without
    bounds it is least where r_w is the relative ratio q / (αq + (1-α)p) of target to source, which
    no point pushes above 1/α: a ratio that the few source points in the target's midst would blow
    up stays bounded. At α = 0 it is the Pearson divergence itself (uLSIF).

    Args:
        bandwidth: kernel width in units of the median pairwise distance, above 0; None for the
            default of losses or of features.
        alpha: the target's share of the mixture compared with, in [0, 1).

    Source: Yamada, Suzuki, Kanamori, Hachiya, Sugiyama, "Relative density-ratio estimation for
    robust distribution comparison", NeurIPS 2011 and Neural Computation 2013.
    """

    bandwidth: float | None = None
    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise UserError(f"alpha must lie in [0, 1); got {self.alpha}")

    def prepare(self, source: Tensor, target: Tensor) -> "PearsonObjective":
        """The smoother at the target and the source points, and its means over each."""
        at_target, at_source = smoothers(source, target, self.bandwidth)
        n, m, alpha = len(source), len(target), self.alpha
        linear = column_means(at_target, m, source)
        row_sums = alpha * linear + (1 - alpha) * column_means(at_source, n, source)
        return PearsonObjective(
            at_target, at_source, alpha / m, (1 - alpha) / n, linear, row_sums.max()
        )


@dataclass(frozen=True)
class PearsonObjective:
    """f(w) = a‖Tw‖²/2 + b‖Sw‖²/2 - h'w with T: [m, n], S: [n, n], h: [n]; T1 = 1 and S1 = 1."""

    at_target: Tensor | Recomputed
    at_source: Tensor | Recomputed
    target_share: float
    source_share: float
    linear: Tensor
    curvature: Tensor

    def at(self, w: Tensor) -> Local:
        """f, aT'Tw + bS'Sw - h, and the largest row sum of the Hessian, whose entries are >= 0.

        Since T1 = 1 and S1 = 1, its row sums are aT'1 + bS'1.
        """
        target_pull = self.target_share * (self.at_target @ w) @ self.at_target
        pull = target_pull + self.source_share * (self.at_source @ w) @ self.at_source
        return Local((pull / 2 - self.linear) @ w, pull - self.linear, self.curvature)
