"""11,000 rows of Fashion-MNIST, of which 10,000 are left to train on; LeNet. Shift them yourself.

Debian's package dataset-fashion-mnist has the files, or the directory $ADIW_DATA_DIR.
"""

import torch
from torch import Tensor, nn

from adiw_tune.tasks import find_task
from adiw_tune.tasks.networks import lenet

REFERENCE_SIZE = SELECT_SIZE = 500
ROWS = 11_000
Rows = tuple[Tensor, Tensor]


def train() -> Rows:
    """Images [n, 1, 28, 28] in [0, 1] and right classes [n]."""
    rows = find_task("fashion-mnist").load(None).rows
    return rows.inputs[:ROWS], rows.labels[:ROWS]


def test() -> Rows:
    """As train(), of rows that are read only to report."""
    rows = find_task("fashion-mnist").load(None).test
    return rows.inputs, rows.labels


def model() -> nn.Module:
    """Gives logits [n, 10]."""
    return lenet(torch.Size([1, 28, 28]), 10)
