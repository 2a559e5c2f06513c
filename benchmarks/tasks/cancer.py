"""scikit-learn's breast-cancer data, in two groups: smaller and larger tumours.

The larger ones are nearly all of one class.
"""

import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

REFERENCE_SIZE = SELECT_SIZE = 100
Rows = tuple[Tensor, Tensor, Tensor]


def train() -> Rows:
    """Inputs [n, 30], classes [n] and groups [n]."""
    return _rows(slice(450))


def test() -> Rows:
    """As train(), for the test rows."""
    return _rows(slice(450, None))


def model() -> nn.Module:
    """Gives logits [n, 2]."""
    return nn.Linear(30, 2)


def _rows(some: slice) -> Rows:
    x, y = load_breast_cancer(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[some]
    inputs = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)[order]
    return inputs, torch.tensor(y)[order], (inputs[:, 0] > 0).long()
