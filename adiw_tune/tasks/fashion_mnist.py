"""Fashion-MNIST with LeNet, from the four IDX files."""

import gzip
import math
import os
import zlib
from pathlib import Path

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Network, Split, Task

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def load_fashion_mnist(data_dir: Path | None) -> tuple[Split, Split]:
    """60,000 rows to train and choose on, and 10,000 to test on.

    Looked for in ``data_dir``, else in $ADIW_DATA_DIR, else where Debian's package
    dataset-fashion-mnist puts it, else downloaded by torchvision into ~/.cache/adiw-tune.

    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv 1708.07747.
    """
    folder = _find(data_dir)
    return _read_split(folder, "train"), _read_split(folder, "test")


def _find(data_dir: Path | None) -> Path:
    chosen = data_dir or (Path(env) if (env := os.environ.get("ADIW_DATA_DIR")) else None)
    if chosen is not None:
        for folder in (chosen, chosen / "fashion-mnist", chosen / "FashionMNIST" / "raw"):
            if (folder / _FILES["train"][0]).exists():
                return folder
        raise UserError(
            f"no {_FILES['train'][0]} in data directory '{chosen}' (nor in its fashion-mnist/ or "
            "FashionMNIST/raw/): give the directory that holds the four IDX .gz files"
        )
    if (_DEBIAN / _FILES["train"][0]).exists():
        return _DEBIAN
    return _download(Path.home() / ".cache" / "adiw-tune")


def _download(root: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"Fashion-MNIST is not here and could not be downloaded ({why}): "
            "give --data-dir, set ADIW_DATA_DIR or install Debian's dataset-fashion-mnist"
        ) from error
    return root / "FashionMNIST" / "raw"


def _read_split(folder: Path, split: str) -> Split:
    images, labels = (_read_idx(folder / name) for name in _FILES[split])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise UserError(
            f"'{folder}' is damaged: its {split} files hold {tuple(images.shape)} images and "
            f"{tuple(labels.shape)} labels; fetch them again"
        )
    return Split(images.unsqueeze(1).float() / 255, labels.long())


def _read_idx(path: Path) -> Tensor:
    """An IDX file of unsigned bytes: 0, 0, 8, rank, one 4-byte big-endian size per axis, data."""
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise UserError(f"'{path}' is missing: all four IDX .gz files are needed") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"'{path}' is damaged ({error}): fetch it again") from error
    header = 4 + 4 * (content[3] if len(content) > 3 else 0)
    shape = [int.from_bytes(content[i : i + 4], "big") for i in range(4, header, 4)]
    if content[:3] != b"\0\0\x08" or len(content) != header + math.prod(shape):
        raise UserError(f"'{path}' is damaged (not the IDX file it should be): fetch it again")
    return torch.frombuffer(bytearray(content[header:]), dtype=torch.uint8).reshape(shape)


def lenet() -> Network:
    """LeNet-5 for 28 x 28 images, with ReLU and max pooling.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    features = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
    )
    return Network(features, nn.Linear(84, 10))


FASHION_MNIST = Task(
    name="fashion-mnist",
    classes=10,
    load=load_fashion_mnist,
    network=lenet,
    reference_size=500,
    select_size=500,
)
