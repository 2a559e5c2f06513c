"""Several labels a row: what can be said of a handwritten digit; a share of it is wrong.

adiw-tune train --task multilabel_task.py --shift symmetric:0.3 --epochs 15 --batch-size 64
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

REFERENCE_SIZE, SELECT_SIZE = 100, 200
TEST_ROWS = 397


def train() -> tuple[Tensor, Tensor]:
    """Inputs [n, 64] and labels [n, 4], each 0 or 1."""
    return _rows(slice(TEST_ROWS, None))


def test() -> tuple[Tensor, Tensor]:
    """As train(), of rows that are read only to report."""
    return _rows(slice(TEST_ROWS))


def model() -> nn.Module:
    """Gives a logit for each label, [n, 4]."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 4))


def _rows(which: slice) -> tuple[Tensor, Tensor]:
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))[which]
    digit = torch.from_numpy(data.target)[order]
    primes = torch.tensor([2, 3, 5, 7])
    labels = [digit % 2 == 0, digit > 4, digit % 3 == 0, torch.isin(digit, primes)]
    return torch.from_numpy(data.data)[order].float() / 16, torch.stack(labels, dim=1)
