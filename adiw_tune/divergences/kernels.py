"""Distances between rows, their typical size, and kernel matrices too large to be held."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Enough points for a median: they are spread evenly over the sorted sample, not drawn.
_POINTS_FOR_MEDIAN = 64
# A matrix of more entries (16 MiB in float32) is computed anew, some rows at a time, at each use.
HELD_ENTRIES = 2048**2


def as_points(z: Tensor) -> Tensor:
    """[n] or [n, d] -> [n, d]."""
    return z.unsqueeze(1) if z.ndim == 1 else z


def distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖ as [n, m], from a: [n, d] and b: [m, d].

    Taken from differences, not from ‖a‖² + ‖b‖² - 2a·b, which loses all digits to cancellation
    when one loss is huge, and is then negative or NaN.
    """
    if a.shape[1] == 1:
        return (a - b.T).abs_()
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def centre_and_spread(z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The medoid of the pooled sample, [d], and its median pairwise distance, a scalar above 0.

    If more than half of the pairs coincide (a fitted network's losses are mostly 0) the median is
    0 and the mean distance takes its place; if all coincide any spread is as good.
    """
    points = _representatives(torch.cat([z, v]))
    count = len(points)
    between = distances(points, points)
    # Of count² entries the smallest are the diagonal's zeros; each other pair is there twice.
    median = between.flatten().kthvalue(count + (count * (count - 1) + 1) // 2).values
    total = between.sum(dim=1)
    typical = torch.where(median > 0, median, total.mean() / count)
    return (
        points.index_select(0, total.argmin(dim=0, keepdim=True)).squeeze(0),
        torch.where(typical > 0, typical, torch.ones_like(typical)),
    )


def _representatives(pooled: Tensor) -> Tensor:
    """Every k-th row in an order that depends on neither the rows' order nor their basis."""
    if len(pooled) <= _POINTS_FOR_MEDIAN:
        return pooled
    position = pooled[:, 0]
    if pooled.shape[1] > 1:
        position = distances(pooled, pooled.mean(dim=0, keepdim=True)).squeeze(1)
    return pooled[position.argsort()[:: 1 + (len(pooled) - 1) // _POINTS_FOR_MEDIAN]]


def in_bandwidths(source: Tensor, target: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
    """Both samples in units of σ√2, [n, d] and [m, d]: the Gaussian kernel is exp(-‖a-b‖²).

    σ = ``bandwidth`` × the median pairwise distance. Divided before anything is squared, so that
    losses of 1e30 rarely overflow float32.
    """
    z, v = as_points(source), as_points(target)
    scale = centre_and_spread(z, v)[1] * (bandwidth * 2**0.5)
    return z / scale, v / scale


@dataclass(frozen=True)
class Recomputed:
    """A matrix [r, c] that is never held: ``entries`` gives some of its rows from some ``points``.

    It can be multiplied from either side, as a tensor can, in memory linear in r + c.
    """

    entries: Callable[[Tensor], Tensor]
    points: Tensor
    rows_at_once: int

    def __matmul__(self, w: Tensor) -> Tensor:
        """[r, c] @ [c] -> [r]."""
        return torch.cat([self.entries(part) @ w for part in self.points.split(self.rows_at_once)])

    def __rmatmul__(self, y: Tensor) -> Tensor:
        """[r] @ [r, c] -> [c], and [k, r] @ [r, c] -> [k, c]."""
        parts = zip(
            y.split(self.rows_at_once, dim=-1), self.points.split(self.rows_at_once), strict=True
        )
        return torch.stack([part @ self.entries(points) for part, points in parts]).sum(dim=0)

    def held(self) -> Tensor:
        """The whole matrix after all."""
        return self.entries(self.points)


def matrix(
    entries: Callable[[Tensor], Tensor], points: Tensor, columns: int
) -> Tensor | Recomputed:
    """``entries(points)``: [r, columns], held if it is small enough, else recomputed in blocks."""
    if len(points) * columns <= HELD_ENTRIES:
        return entries(points)
    return Recomputed(entries, points, max(1, HELD_ENTRIES // (4 * columns)))
