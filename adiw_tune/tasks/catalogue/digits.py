"""Handwritten digits, 8 x 8, bundled with scikit-learn: no download."""

from pathlib import Path

import torch
from torch import nn

from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.rows import Split

_TEST_ROWS = 397


def load_digits(data_dir: Path | None) -> Data:
    """1,400 rows to train and choose on, and 397 to test on; ``data_dir`` is not needed.

    Source: Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    from sklearn.datasets import load_digits as bundled

    data = bundled()
    inputs = torch.from_numpy(data.images).float().unsqueeze(1) / 16
    labels = torch.from_numpy(data.target).long()
    # The file runs writer by writer; a fixed shuffle gives both parts the same writers.
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rows, test = order[:-_TEST_ROWS], order[-_TEST_ROWS:]
    return Data(Split(inputs[rows], labels[rows]), Split(inputs[test], labels[test]), classes=10)


def small_cnn(shape: torch.Size, classes: int) -> Network:
    """Two convolutions and a hidden layer of 64: 76,000 weights, enough to fit wrong labels."""
    features = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 64),
        nn.ReLU(),
    )
    return Network(features, nn.Linear(64, classes))


DIGITS = Task(
    name="digits",
    load=load_digits,
    networks={"small-cnn": small_cnn},
    reference_size=50,
    select_size=250,
    default_shift="symmetric:0.4",
)
