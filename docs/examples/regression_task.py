"""Regression on scikit-learn's diabetes data; one age group is rare among the training rows.

adiw-tune train --task regression_task.py --shift group-prior:10 --epochs 60 --batch-size 32
"""

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn

REFERENCE_SIZE, SELECT_SIZE = 60, 60
TEST_ROWS = 100
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def train() -> Rows:
    """Inputs [n, 10], real values [n] and groups [n]: 0 for the half that is younger."""
    return _rows(slice(TEST_ROWS, None))


def test() -> Rows:
    """As train(), of rows that are read only to report."""
    return _rows(slice(TEST_ROWS))


def model() -> nn.Module:
    """Gives one value a row, [n, 1]."""
    return nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1))


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One loss a row, [n], which weighs and trains; without this it is the squared error."""
    return nn.functional.smooth_l1_loss(outputs.squeeze(1), targets, reduction="none")


def _rows(which: slice) -> Rows:
    inputs, targets = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(targets))[which]
    age = inputs[order, 0]
    standard = (targets[order] - targets.mean()) / targets.std()
    return inputs[order] / inputs.std(axis=0), standard, (age > 0).astype(int)
