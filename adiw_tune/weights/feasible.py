"""The set that weights must lie in, and the exact Euclidean projection onto it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, shown

_LARGEST_CAP = 1e6  # more than any mini-batch has rows: no cap at all


@dataclass(frozen=True)
class FeasibleSet:
    """{w : 0 <= w_i <= cap, |mean(w) - 1| <= slack}.

    Args:
        cap: largest weight, in [1, 1e6]. 50 is the published DIW's.
        slack: how far the mean may be from 1, in [0, 1). 0 means mean(w) = 1. The published DIW
            takes (√n - 1)/√n, which at n = 256 is 0.94 and binds almost never.
    """

    cap: float = 50.0
    slack: float = 0.0

    def __post_init__(self) -> None:
        check_number("cap", self.cap)
        check_number("slack", self.slack)
        if not self.cap >= 1:
            raise UserError(
                f"cap must be at least 1, or no weights have mean 1; got {shown(self.cap)}"
            )
        if self.cap > _LARGEST_CAP:
            raise UserError(f"cap must be at most {_LARGEST_CAP:g}; got {shown(self.cap)}")
        if not 0 <= self.slack < 1:
            raise UserError(f"slack must lie in [0, 1); got {shown(self.slack)}")

    def project(self, w: Tensor) -> Tensor:
        """The point of the set nearest to ``w``: [..., n] -> [..., n], exactly, nothing waited for.

        It is clip(w - τ, 0, cap), where τ = 0 if clip(w, 0, cap) already has a mean in the band
        and else makes the mean equal the bound it violates.
        """
        x = w.double()
        if not self.slack:
            return _with_mean(x, self.cap, torch.ones_like(x[..., :1])).to(w.dtype)
        clipped = x.clamp(0, self.cap)
        mean = clipped.mean(dim=-1, keepdim=True)
        wanted = mean.clamp(1 - self.slack, 1 + self.slack)
        shifted = _with_mean(x, self.cap, wanted)
        return torch.where(mean == wanted, clipped, shifted).to(w.dtype)


def _with_mean(x: Tensor, cap: float, wanted_mean: Tensor) -> Tensor:
    """clip(x - τ, 0, cap) with the τ that gives it this mean, in one pass over 2n breakpoints.

    As τ falls, entry i leaves 0 at τ = x_i and reaches the cap at τ = x_i - cap, so the sum is
    piecewise linear in τ with these breakpoints, and its slope is the number of entries between.

    With k = ⌊wanted sum / cap⌋, τ lies within cap below the (k+1)-largest entry. Measured from
    there, entries beyond ±cap are at a bound whatever their size, and no digits are lost to them.

    x: [..., n], wanted_mean: [..., 1].
    """
    n = x.shape[-1]
    wanted = wanted_mean * n
    rank = (wanted / cap).long().clamp(0, n - 1)
    y = (x - x.sort(descending=True).values.gather(-1, rank)).clamp(-cap, cap)
    knots, order = torch.cat([y, y - cap], dim=-1).sort(descending=True)
    slope = torch.where(order < n, 1.0, -1.0).to(y.dtype).cumsum(-1)  # below knots[k]
    gaps = knots[..., :-1] - knots[..., 1:]
    sums = functional.pad((slope[..., :-1] * gaps).cumsum(-1), (1, 0))
    k = (torch.searchsorted(sums, wanted) - 1).clamp(0, 2 * n - 2)
    short = wanted - sums.gather(-1, k)
    tau = knots.gather(-1, k) - short / slope.gather(-1, k).clamp_min(1)
    return (y - tau).clamp(0, cap)
