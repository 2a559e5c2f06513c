"""Mini-batches that the divergences are tested on, and random feasible weights for them."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from adiw_tune.weights import FeasibleSet

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def losses(seed: int, n: int, m: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Skewed, positive, and of another distribution in the target: [n] and [m]."""
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(n, generator=generator, dtype=torch.float64).exp()
    target = (torch.randn(m, generator=generator, dtype=torch.float64) * 0.7 - 0.3).exp()
    return source.to(dtype), target.to(dtype)


def features(seed: int, n: int, m: int, d: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.randn(n + m, d, generator=generator, dtype=torch.float64)
    return draw[:n], draw[n:] * 0.8 + 0.5


def random_weights(seed: int, n: int, count: int, cap: float = 50.0) -> Tensor:
    """Feasible weights of mean 1, from nearly flat to spiky: [count, n], all above 0."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.logspace(-2, 0.5, count, dtype=torch.float64).unsqueeze(1)
    draw = (torch.randn(count, n, generator=generator, dtype=torch.float64) * spread).exp()
    w = torch.stack([FeasibleSet(cap).project(row / row.mean()) for row in draw])
    return 0.99 * w + 0.01


def _losses_of(size: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0, 20, width=32), min_size=size, max_size=size)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    """Random losses of any scale from 1e-6 to 1e6; n and m from 1, ties and zeros among them."""
    scale = 10 ** draw(st.floats(-6, 6))
    source = draw(st.integers(1, 24).flatmap(_losses_of))
    target = draw(st.integers(1, 24).flatmap(_losses_of))
    return [x * scale for x in source], [x * scale for x in target]
