"""A divergence of your own: the mean of losses, and nothing else, is matched.

adiw-tune check-divergence my_divergence.py
adiw-tune train --divergence my_divergence.py --shift symmetric:0.5
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from adiw_tune.divergences import Local


class MeanMatching:
    """f(w) = ‖mean_i w_i z_i - mean_j v_j‖²/2, in units of the pooled sample's spread."""

    def prepare(self, source: Tensor, target: Tensor) -> "MeanMatchingObjective":
        """What does not depend on w. Both samples are [n] losses, or [n, d] features."""
        z, v = (points.reshape(len(points), -1).double() for points in (source, target))
        spread = torch.cat([z, v]).std(dim=0).clamp_min(1e-12)
        away = ((z - v.mean(dim=0)) / spread).to(source.dtype)
        return MeanMatchingObjective(away)


@dataclass(frozen=True)
class MeanMatchingObjective:
    """f(w) = ‖A'w/n‖²/2 with A = (z - mean v)/spread: [n, d]. Equal to the above at mean(w) = 1."""

    away: Tensor

    def at(self, w: Tensor) -> Local:
        """f, its gradient, and a bound of its Hessian's largest eigenvalue: its trace."""
        scaled = self.away / len(w)
        moved = w @ scaled
        curvature = scaled.square().sum().clamp_min(torch.finfo(w.dtype).eps)
        return Local(moved @ moved / 2, scaled @ moved, curvature)


DIVERGENCE = MeanMatching()
