"""The Gaussian kernel that three of the divergences share, and its bandwidth."""

import torch
from torch import Tensor

# Enough points for a median; more would cost as much as the kernel itself.
_POINTS_FOR_MEDIAN = 256


def as_points(z: Tensor) -> Tensor:
    """[n] or [n, d] -> [n, d]."""
    return z.unsqueeze(1) if z.ndim == 1 else z


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖² as [n, m], from a: [n, d] and b: [m, d].

    Taken from differences, not from ‖a‖² + ‖b‖² - 2a·b, which loses all digits to cancellation
    when one loss is huge, and is then negative or NaN.
    """
    if a.shape[1] == 1:
        return (a - b.T).square()
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square()


def median_distance(a: Tensor, b: Tensor) -> Tensor:
    """The median pairwise distance within the pooled sample, a scalar above 0.

    If more than half of the pairs coincide (a fitted network's losses are mostly 0) the median is
    0 and the mean distance takes its place; if all coincide any bandwidth gives the same kernel.
    """
    pooled = torch.cat([a, b])
    if len(pooled) > _POINTS_FOR_MEDIAN:  # every k-th in sorted order: no matter how rows came
        in_order = pooled[pooled[:, 0].argsort()]
        pooled = in_order[:: 1 + (len(pooled) - 1) // _POINTS_FOR_MEDIAN]
    distances = squared_distances(pooled, pooled).sqrt()
    median, mean = distances.median(), distances.mean()
    typical = torch.where(median > 0, median, mean)
    return torch.where(typical > 0, typical, torch.ones_like(typical))


def scaled_squared_distances(a: Tensor, b: Tensor, sigma: Tensor) -> Tensor:
    """‖a_i - b_j‖² / 2σ² as [n, m]; the Gaussian kernel is exp of its negative.

    Divided before squaring, so that losses of 1e30 rarely overflow float32. What still does is
    held at the largest number: a row of infinities would make the softmax of its negative NaN.
    """
    scale = sigma * 2**0.5
    return squared_distances(a / scale, b / scale).clamp_max(torch.finfo(a.dtype).max)
