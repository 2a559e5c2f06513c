"""Distances between rows, their typical size, and kernel matrices too large to be held."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

# Enough points for a median: they are spread evenly over the sorted sample, not drawn.
_POINTS_FOR_MEDIAN = 64
# A matrix of more entries (16 MiB in float32) is computed anew at each use, a 16th as many at a
# time, so that a mini-batch takes memory linear in its rows.
HELD_ENTRIES = 2048**2
# By representation. Half of all pairs of losses are nearer than the median distance; rows of
# features beside one-hot labels of 10 classes are of one class only in a pair of ten, and a kernel
# that is to tell classes apart has to be narrower. Chosen on benchmarks/known_ratios.py.
DEFAULT_BANDWIDTHS = {"loss": 1.0, "feature": 0.3}


def as_points(z: Tensor) -> Tensor:
    """[n] or [n, d] -> [n, d]."""
    return z.unsqueeze(1) if z.ndim == 1 else z


def distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖ as [n, m], from a: [n, d] and b: [m, d], for d > 1 near the origin.

    Losses are subtracted; ‖a‖² + ‖b‖² - 2a·b would lose all digits to cancellation when one is
    huge. Features go that way, ten times as fast, in float64: its digits suffice for rows that
    are not much farther from the origin than from each other.
    """
    if a.shape[1] == 1:
        return (a - b.T).abs_()
    between = torch.cdist(a.double(), b.double(), compute_mode="use_mm_for_euclid_dist")
    return between.to(a.dtype)


def centre_and_spread(z: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """A point amid the pooled sample, [d], and its median pairwise distance, a scalar above 0.

    The point is the medoid, softened: which of two rows that tie is the nearest to all would hang
    on rounding. A single huge row moves neither.

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
    remote = total / total.min().clamp_min(torch.finfo(total.dtype).tiny)
    return (
        torch.softmax(-100 * remote, dim=0) @ points,
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


def in_bandwidths(source: Tensor, target: Tensor, bandwidth: float | None) -> tuple[Tensor, Tensor]:
    """Both samples in units of σ√2, [n, d] and [m, d]: the Gaussian kernel is exp(-‖a-b‖²).

    σ = ``bandwidth`` × the median pairwise distance; None is the default of losses, which are one
    number a row, or of features. Divided before anything is squared, so that losses of 1e30 rarely
    overflow float32.
    """
    z, v = as_points(source), as_points(target)
    if bandwidth is None:
        bandwidth = DEFAULT_BANDWIDTHS["loss" if z.shape[1] == 1 else "feature"]
    centre, spread = centre_and_spread(z, v)
    scale = spread * (bandwidth * 2**0.5)
    return (z - centre) / scale, (v - centre) / scale


@dataclass(frozen=True)
class Recomputed:
    """A matrix [r, c] that is never held: ``entries`` gives some of its rows from some ``points``.

    Blocks of its rows are made, used and dropped. It can be multiplied from either side, as a
    tensor can, in memory linear in r + c.
    """

    entries: Callable[[Tensor], Tensor]
    points: Tensor
    rows_at_once: int

    def __matmul__(self, w: Tensor) -> Tensor:
        """[r, c] @ [c] -> [r]."""
        product = w.new_empty(len(self.points))
        for points, part in self._blocks(product):
            part.copy_(self.entries(points) @ w)
        return product

    def __rmatmul__(self, y: Tensor) -> Tensor:
        """[r] @ [r, c] -> [c], and [k, r] @ [r, c] -> [k, c]."""
        products = (part @ self.entries(points) for points, part in self._blocks(y))
        return sum(products, start=y.new_zeros(()))

    def _blocks(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Some points at a time, and their part of ``rows``: [..., r]."""
        size = self.rows_at_once
        return zip(self.points.split(size), rows.split(size, dim=-1), strict=True)

    def held(self) -> Tensor:
        """The whole matrix after all."""
        return self.entries(self.points)


@cache
def keep_compiler_from_blocks() -> None:
    """Keep ``torch.compile`` out of :class:`Recomputed`, whose loops it would unroll.

    Called before the first compilation and not at import, since it imports the whole compiler,
    which takes seconds. Whoever compiles around a weighter calls it too, or has them unrolled.
    """
    for name in ("__matmul__", "__rmatmul__"):
        setattr(Recomputed, name, torch.compiler.disable(getattr(Recomputed, name)))


def matrix(
    entries: Callable[[Tensor], Tensor], points: Tensor, columns: int
) -> Tensor | Recomputed:
    """``entries(points)``: [r, columns], held if it is small enough, else recomputed in blocks."""
    if len(points) * columns <= HELD_ENTRIES:
        return entries(points)
    return Recomputed(entries, points, max(1, HELD_ENTRIES // (16 * columns)))
