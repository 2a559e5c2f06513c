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


# name: (source, target); what training really meets, and what it should never meet
DEGENERATE: dict[str, tuple[list[float], list[float]]] = {
    "all equal": ([2.5] * 8, [2.5] * 8),
    "all zero": ([0.0] * 8, [0.0] * 5),
    "source equal": ([1.0] * 8, [0.5, 1.0, 2.0]),
    "target equal": ([0.5, 1.0, 2.0, 4.0], [1.0] * 6),
    "source zero, target not": ([0.0] * 6, [3.0] * 6),
    "mostly zeros": ([0.0] * 30 + [0.1, 4.0], [0.0] * 30 + [0.2]),
    "source outlier 1e8": ([0.1, 0.2, 0.5, 1.0, 1e8], [0.1, 0.4, 0.9]),
    "source outlier 1e30": ([0.1, 0.2, 0.5, 1.0, 1e30], [0.1, 0.4, 0.9]),
    "target outlier 1e8": ([0.1, 0.2, 0.5, 1.0], [0.1, 0.4, 0.9, 1e8]),
    "target outlier 1e30": ([0.1, 0.2, 0.5, 1.0], [0.1, 0.4, 0.9, 1e30]),
    "zeros and an outlier 1e30": ([0.0] * 9 + [1e30], [0.0] * 9 + [1.0]),
    "half at 1e30": ([0.1, 0.2, 1e30, 1e30], [0.3, 1e30]),
    "one row each": ([0.3], [1.7]),
    "one source row": ([0.3], [0.1, 0.2, 5.0]),
    "one target row": ([0.1, 0.2, 5.0], [0.3]),
    "duplicates": ([0.1, 0.1, 0.1, 0.7, 0.7, 2.0], [0.1, 0.7, 0.7, 0.7]),
    "tiny": ([1e-30, 2e-30, 5e-30], [2e-30, 3e-30]),
}
