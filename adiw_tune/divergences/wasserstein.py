"""Wasserstein-1 distance: on the line exactly, between features over many lines."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.divergences.base import Local
from adiw_tune.divergences.kernels import as_points
from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Wasserstein:
    """W1 between the w-weighted source and the target, on the line, in units of their range.

        f(w) = Σ_q gap_q h(D_q),   D_q = Σ_{i: z_i <= x_q} w_i / n - mean(w) Σ_{j: v_j <= x_q} 1/m

    x_1 <= x_2 <= ... is the pooled sample, gap_q = (x_{q+1} - x_q) / (x_last - x_first), and D the
    difference of the two distribution functions. h(D) is |D|, rounded within ±``smoothing`` to
    D²/2s + s/2 (Huber's function plus a constant), so that a difference of the size of sampling
    noise does not push with full force. At smoothing 0 this is W1 itself.

    Of features it is the sliced distance: the mean of f over fixed ``directions`` that the samples
    are projected on, all in units of the widest range.

    The unsmoothed optimum is spiky: it moves each target point's mass to the nearest source point.
    Few steps from a flat start are what keeps the weights of use.

    Args:
        smoothing: in units of probability, in [0, 1).
        directions: how many lines features are projected on, at least 1.

    Source: Vallender, "Calculation of the Wasserstein distance between probability distributions
    on the line", 1974; Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures",
    2015. The step is Polyak's, "Minimization of unsmooth functionals", 1969.
    """

    smoothing: float = 0.02
    directions: int = 32

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UserError(f"smoothing must lie in [0, 1); got {self.smoothing}")
        if self.directions < 1:
            raise UserError(f"directions must be at least 1; got {self.directions}")

    def prepare(self, source: Tensor, target: Tensor) -> "WassersteinObjective":
        """Sort the pooled sample once a line, and find the least cost of serving the target."""
        z, v = (_on_lines(as_points(rows), self.directions) for rows in (source, target))
        pooled, order = torch.cat([z, v], dim=1).sort(stable=True)
        span = (pooled[:, -1] - pooled[:, 0]).max().clamp_min(torch.finfo(source.dtype).tiny)
        gaps = (pooled.diff() / (span * len(z))).to(source.dtype)
        nearest = (_distance_to_nearest(v, z) / span).mean().to(source.dtype)
        return WassersteinObjective(
            gaps=gaps,
            order=order,
            rank=torch.empty_like(order).scatter_(
                1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
            ),
            least=torch.maximum(nearest, self.smoothing / 2 * gaps.sum()),
            smoothing=self.smoothing,
        )


def _on_lines(points: Tensor, directions: int) -> Tensor:
    """Losses on their one line, features on ``directions``: [n, d] -> [lines, n].

    Features in float64, or an offset that they have in common would take the digits of the sums.
    """
    if points.shape[1] == 1:
        return points.T.contiguous()
    points = points.double()
    return fixed_directions(directions, points) @ points.T


def fixed_directions(count: int, like: Tensor) -> Tensor:
    """``count`` unit vectors that are the same on every device and at every call: [count, d].

    Normal numbers from a fixed shuffle of sines, computed where they are needed: a generator's
    would differ from device to device, and a copy from the host would make it wait.
    """
    d = like.shape[1]
    cell = torch.arange(1, count * d + 1, device=like.device, dtype=torch.float64)
    uniform = (torch.sin(cell) * 1e4).frac().abs()
    normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)).reshape(count, d)
    return functional.normalize(normal).to(like.dtype)


def _distance_to_nearest(points: Tensor, among: Tensor) -> Tensor:
    """From each of [lines, m] to the nearest of [lines, n] on its line: [lines, m]."""
    among = among.sort(dim=1).values
    above = torch.searchsorted(among, points).clamp(max=among.shape[1] - 1)
    below = (above - 1).clamp(min=0)
    return torch.minimum(
        (points - among.gather(1, above)).abs(), (points - among.gather(1, below)).abs()
    )


@dataclass(frozen=True)
class WassersteinObjective:
    """f over the gaps of the pooled sample, [lines, n + m - 1], already divided among the lines.

    ``order`` sorts the pooled rows of each line, source first, and ``rank`` is its inverse.
    """

    gaps: Tensor
    order: Tensor
    rank: Tensor
    least: Tensor
    smoothing: float

    @property
    def diminishing(self) -> bool:
        """Whether Polyak's step is too long at the optimum, which lies above ``least`` if rounded.

        Where nothing is rounded the two are one, unless the cap binds.
        """
        return self.smoothing > 0

    def at(self, w: Tensor) -> Local:
        """f, ∂f/∂w_i = (mean_j c(v_j) - c(z_i))/n, and one over Polyak's step: ‖g‖²/(f - least).

        c(x) = Σ gap_q h'(D_q) over the gaps left of x is the dual potential. g is the gradient
        less its mean. ``least`` is the larger of two bounds that no weights get below: the mean
        distance from a target point to its nearest source point, which weights without a cap
        reach where nothing is rounded, and Σ gap_q s/2, since h is nowhere below s/2.
        """
        n = len(w)
        m = self.order.shape[1] - n
        mass = torch.cat([w / n, (-w.mean() / m).expand(m)])
        difference = mass[self.order].cumsum(dim=1)[:, :-1]  # D: [lines, n + m - 1]
        size, slope = self._rounded(difference)
        value = (self.gaps * size).sum()
        potential = functional.pad((self.gaps * slope).cumsum(dim=1), (1, 0))
        potential = potential.gather(1, self.rank).sum(dim=0)
        gradient = (potential[n:].mean() - potential[:n]) / n
        centred = gradient - gradient.mean()
        tiny = torch.finfo(w.dtype).eps
        excess = (value - self.least).clamp_min(tiny)
        return Local(value, gradient, ((centred @ centred) / excess).clamp_min(tiny))

    def _rounded(self, difference: Tensor) -> tuple[Tensor, Tensor]:
        """h(D) and h'(D), each of D's shape."""
        size = difference.abs()
        if not self.smoothing:
            return size, difference.sign()
        slope = (difference / self.smoothing).clamp(-1, 1)
        # Within ±s it is D²/2s + s/2, and beyond |D|: both are (slope·D + max(s, |D|))/2.
        return (slope * difference + size.clamp_min(self.smoothing)) / 2, slope
