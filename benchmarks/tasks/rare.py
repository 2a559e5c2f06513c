"""Synthetic rows of two classes; one class is 2% of them."""

import torch
from torch import Tensor, nn

REFERENCE_SIZE = SELECT_SIZE = 400


def train() -> tuple[Tensor, Tensor]:
    """Inputs [n, 8], and 1 for the rare rows [n], of which the first input is larger."""
    return _rows(2400, 0)


def test() -> tuple[Tensor, Tensor]:
    """As train(), for the test rows."""
    return _rows(1000, 1)


def model() -> nn.Module:
    """Gives logits [n, 2]."""
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))


def _rows(n: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rare = (torch.rand(n, generator=generator) < 0.02).long()
    inputs = torch.randn(n, 8, generator=generator)
    inputs[:, 0] += 2 * rare
    return inputs, rare
