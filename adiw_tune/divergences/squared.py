"""Squared distance between the weights and a kernel estimate of the density ratio (LSIF)."""

from dataclasses import dataclass

from torch import Tensor

from adiw_tune.divergences.base import Local
from adiw_tune.divergences.ratio import column_means, smoothers


@dataclass(frozen=True)
class SquaredDistance:
    """Half the mean squared distance of w to the density ratio, estimated with kernels.

        f(w) = mean_i (w_i - ρ_i)² / 2,   ρ_i = mean_j a_i(v_j) / mean_l a_i(z_l)

    a_i(x) is the share of source point i in the smoother of :mod:`adiw_tune.divergences.ratio`,
    so ρ_i compares the mass that the target and the source itself send to point i. The numerator
    alone is the usual estimate; the denominator removes its bias at the rim of the sample, and
    makes w = 1 optimal when source and target are the same sample.

    Args:
        bandwidth: kernel width in units of the median pairwise distance, above 0; None for the
            default of losses or of features.

    Source: Kanamori, Hido, Sugiyama, "A least-squares approach to direct importance estimation",
    JMLR 2009.
    """

    bandwidth: float | None = None

    def prepare(self, source: Tensor, target: Tensor) -> "SquaredDistanceObjective":
        """The ratio estimate ρ."""
        at_target, at_source = smoothers(source, target, self.bandwidth)
        # A point's own kernel is the largest of its row, so its mass is at least 1/n²: no 0/0.
        mass = column_means(at_source, len(source), source)
        return SquaredDistanceObjective(column_means(at_target, len(target), source) / mass)


@dataclass(frozen=True)
class SquaredDistanceObjective:
    """f(w) = mean_i (w_i - ρ_i)² / 2 with ρ: [n]. One full step solves it."""

    ratio: Tensor

    def at(self, w: Tensor) -> Local:
        """f, (w - ρ)/n, and 1/n, the only eigenvalue."""
        away = w - self.ratio
        gradient = away / len(w)
        return Local(away @ gradient / 2, gradient, w.new_full((), 1 / len(w)))
