"""A task of your own: five arms of a spiral, told apart by a small network.

adiw-tune check-task my_task.py
adiw-tune train --task my_task.py --shift pair:0.45 --epochs 30 --batch-size 64
"""

import math

import torch
from torch import Tensor, nn

REFERENCE_SIZE = 200  # clean rows that weights are estimated on
SELECT_SIZE = 200  # clean rows that a search chooses by


def train() -> tuple[Tensor, Tensor]:
    """Inputs [n, ...] and labels [n]; or a torch Dataset of (tensor, int) pairs."""
    return spiral(rows=3000, seed=0)


def test() -> tuple[Tensor, Tensor]:
    """As train(), of rows that are read only to report."""
    return spiral(rows=1000, seed=1)


def model() -> nn.Module:
    """Anything that gives logits [n, classes]."""
    hidden = [nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(128, 5))


def spiral(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points [rows, 2] and the arm that each is on, [rows]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(5, (rows,), generator=generator)
    radius = 3 * torch.rand(rows, generator=generator)
    angle = radius + 2 * math.pi * labels / 5 + 0.15 * torch.randn(rows, generator=generator)
    return radius.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], dim=1), labels
