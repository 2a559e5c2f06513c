"""CIFAR-10N: 20,000 images at 16 x 16 with labels by people, 40% of them wrong; a small CNN.

The data directory holds cifar10/ and cifar10n/, as the task cifar10n reads them. The label of an
image is a wrong one of three people's, if there is one ("worst").
"""

from functools import lru_cache
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from adiw_tune.tasks import find_task
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.networks import FromBytes

REFERENCE_SIZE = SELECT_SIZE = 500
CLEAN = REFERENCE_SIZE + SELECT_SIZE
ROWS = 20_000
Rows = tuple[Tensor, Tensor]


def train(data_dir: Path) -> Rows:
    """Images, bytes [n, 3, 16, 16], and classes as people have them, [n]."""
    return labelled(data_dir, "worst")


def labelled(data_dir: Path, by: str) -> Rows:
    """As train(), with the labels that CIFAR-10N calls ``by``."""
    return _images(data_dir)[CLEAN:], _data(data_dir).relabelled[by][CLEAN:ROWS]


def reference(data_dir: Path) -> Rows:
    """As train(), with the right classes."""
    return _images(data_dir)[:CLEAN], _data(data_dir).rows.labels[:CLEAN]


def test(data_dir: Path) -> Rows:
    """As reference(), of rows that are read only to report."""
    rows = _data(data_dir).test
    return _halved(rows.inputs), rows.labels


def model(norm: bool = True) -> nn.Module:
    """Gives logits [n, 10]; with batch norm unless told otherwise."""
    blocks = [layer for c in ((3, 16), (16, 32), (32, 64)) for layer in _block(*c, norm)]
    hidden = [nn.Flatten(), nn.Linear(64 * 2 * 2, 64), nn.ReLU()]
    return nn.Sequential(FromBytes(), *blocks, *hidden, nn.Linear(64, 10))


def _block(channels_in: int, channels: int, norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(channels_in, channels, 3, padding=1, bias=not norm)
    between = [nn.BatchNorm2d(channels)] if norm else []
    return [convolution, *between, nn.ReLU(), nn.MaxPool2d(2)]


def _right_labels(data_dir: Path) -> Tensor:
    """Of the rows of train()."""
    return _data(data_dir).rows.labels[CLEAN:ROWS]


@lru_cache(maxsize=1)  # decoding takes most of a minute, which each run would pay
def _data(data_dir: Path) -> Data:
    return find_task("cifar10n").load(data_dir)


@lru_cache(maxsize=1)
def _images(data_dir: Path) -> Tensor:
    return _halved(_data(data_dir).rows.inputs[:ROWS])


def _halved(images: Tensor) -> Tensor:
    """Means of 2 x 2 pixels: bytes [n, 3, 32, 32] -> [n, 3, 16, 16]."""
    return functional.avg_pool2d(images.float(), 2).round().byte()
