"""Fashion-MNIST in red, green and blue, the colour telling nothing of the label."""

from pathlib import Path

import torch
from torch import nn

from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.catalogue.fashion_mnist import load_fashion_mnist
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.networks import FromBytes, lenet
from adiw_tune.tasks.rows import Split, loaded

_COLOURS = 3


def load_color_fashion(data_dir: Path | None) -> Data:
    """Fashion-MNIST's rows, bytes [3, 28, 28], each in a colour drawn evenly at random.

    Groups are the colours: 0 red, 1 green, 2 blue, so that shift ``group-prior:inf`` leaves red
    training rows only, while reference, select and test rows have all three. The colours are the
    same in every run. Found as :func:`load_fashion_mnist` finds its files.

    Source: the coloured MNIST of Fang et al., "Generalizing importance weighting to a universal
    solver for distribution shift problems", NeurIPS 2023.
    """
    grey = load_fashion_mnist(data_dir)
    rows, test = (_coloured(loaded(part), seed) for seed, part in enumerate((grey.rows, grey.test)))
    return Data(rows, test, grey.classes)


def _coloured(grey: Split, seed: int) -> Split:
    n, _, height, width = grey.inputs.shape
    colours = torch.randint(_COLOURS, (n,), generator=torch.Generator().manual_seed(seed))
    inputs = torch.zeros(n, _COLOURS, height, width, dtype=torch.uint8)
    inputs[torch.arange(n), colours] = (grey.inputs[:, 0] * 255).round().byte()
    return Split(inputs, grey.labels, colours)


def _lenet_of_bytes(shape: torch.Size, classes: int) -> Network:
    network = lenet(shape, classes)
    return Network(nn.Sequential(FromBytes(mean=0, std=1), network.features), network.head)


COLOR_FASHION = Task(
    name="color-fashion",
    load=load_color_fashion,
    networks={"lenet": _lenet_of_bytes},
    reference_size=500,
    select_size=500,
    default_shift="group-prior:inf",
)
