"""Wasserstein-1 distance on the line."""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Wasserstein:
    """W1 between the w-weighted source and the target, both on the line, in units of their range.

        f(w) = Σ_q gap_q h(D_q),   D_q = Σ_{i: z_i <= x_q} w_i / n - mean(w) Σ_{j: v_j <= x_q} 1/m

    x_1 <= x_2 <= ... is the pooled sample, gap_q = (x_{q+1} - x_q) / (x_last - x_first), and D the
    difference of the two distribution functions. h(D) is |D|, rounded within ±``smoothing`` to
    D²/2s + s/2 (Huber's function plus a constant), so that a difference of the size of sampling
    noise does not push with full force. At smoothing 0 this is W1 itself.

    The unsmoothed optimum is spiky: it moves each target point's mass to the nearest source point.
    Few steps from a flat start are what keeps the weights of use.

    Args:
        smoothing: in units of probability, in [0, 1).

    Source: Vallender, "Calculation of the Wasserstein distance between probability distributions
    on the line", 1974. The step is Polyak's, "Minimization of unsmooth functionals", 1969.
    """

    smoothing: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing must lie in [0, 1); got {self.smoothing}")

    def prepare(self, source: Tensor, target: Tensor) -> "WassersteinObjective":
        """Sort the pooled sample once, and find the least cost of serving the target at all."""
        if source.ndim > 1 and source.shape[1] > 1:
            raise UserError("wasserstein needs one number per sample: use representation 'loss'")
        z, v = source.flatten(), target.flatten()
        n, m = len(z), len(v)
        pooled, order = torch.cat([z, v]).sort(stable=True)
        span = (pooled[-1] - pooled[0]).clamp_min(torch.finfo(z.dtype).tiny)
        from_target = (order >= n).to(z.dtype) / m
        sorted_z = z.sort().values
        above = torch.searchsorted(sorted_z, v).clamp(max=n - 1)
        nearest = torch.minimum(
            (v - sorted_z[above]).abs(), (v - sorted_z[(above - 1).clamp(min=0)]).abs()
        )
        return WassersteinObjective(
            gaps=(pooled[1:] - pooled[:-1]) / span,
            position=order.argsort()[:n],
            target_cdf=from_target.cumsum(0)[:-1],
            least=(nearest / span).mean(),
            smoothing=self.smoothing,
        )


@dataclass(frozen=True)
class WassersteinObjective:
    """f over the n + m - 1 gaps of the pooled sample; ``position``: [n], ranks of the source."""

    gaps: Tensor
    position: Tensor
    target_cdf: Tensor
    least: Tensor
    smoothing: float

    def difference(self, w: Tensor) -> Tensor:
        """D: [n + m - 1]."""
        mass = w.new_zeros(len(self.gaps) + 1).index_copy(0, self.position, w / len(w))
        return mass.cumsum(0)[:-1] - w.mean() * self.target_cdf

    def value(self, w: Tensor) -> Tensor:
        """f(w)."""
        size = self.difference(w).abs()
        if self.smoothing:
            rounded = size.square() / (2 * self.smoothing) + self.smoothing / 2
            size = torch.where(size < self.smoothing, rounded, size)
        return self.gaps @ size

    def gradient(self, w: Tensor) -> Tensor:
        """∂f/∂w_i = (Σ_{q >= position_i} s_q - Σ_q s_q F_q)/n, s = gap h'(D), F target's CDF."""
        difference = self.difference(w)
        rounded = (
            (difference / self.smoothing).clamp(-1, 1) if self.smoothing else difference.sign()
        )
        pull = self.gaps * rounded
        suffix = torch.cat([pull, pull.new_zeros(1)]).flip(0).cumsum(0).flip(0)
        return (suffix[self.position] - pull @ self.target_cdf) / len(w)

    def curvature(self, w: Tensor) -> Tensor:
        """‖g‖² / (f(w) - least): one over Polyak's step, g being the gradient less its mean.

        ``least``, the mean distance from a target point to its nearest source point, is what no
        weights get below, and what weights without a cap reach.
        """
        gradient = self.gradient(w)
        gradient = gradient - gradient.mean()
        tiny = torch.finfo(w.dtype).eps
        excess = (self.value(w) - self.least).clamp_min(tiny)
        return ((gradient @ gradient) / excess).clamp_min(tiny)
