"""Fashion-MNIST with LeNet, from the four IDX files."""

import gzip
import math
import zlib
from pathlib import Path

import torch
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Task
from adiw_tune.tasks.catalogue.finding import downloaded, find_folder
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.networks import lenet
from adiw_tune.tasks.rows import Split

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def load_fashion_mnist(data_dir: Path | None) -> Data:
    """60,000 rows to train and choose on, and 10,000 to test on.

    Looked for in ``data_dir``, else in $ADIW_DATA_DIR, else where Debian's package
    dataset-fashion-mnist puts it, else downloaded by torchvision into ~/.cache/adiw-tune.

    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv 1708.07747.
    """
    folder = _find(data_dir)
    return Data(_read_split(folder, "train"), _read_split(folder, "test"), classes=10)


def _find(data_dir: Path | None) -> Path:
    found = find_folder(
        data_dir,
        ("fashion-mnist", "FashionMNIST/raw"),
        _has_files,
        what=_FILES["train"][0],
        hint="give the directory that holds the four IDX .gz files",
    )
    return found or (_DEBIAN if _has_files(_DEBIAN) else _download())


def _has_files(folder: Path) -> bool:
    return (folder / _FILES["train"][0]).exists()


def _download() -> Path:
    from torchvision.datasets import FashionMNIST

    cache = downloaded(
        "Fashion-MNIST",
        lambda root: FashionMNIST(root, download=True),
        "give --data-dir, set ADIW_DATA_DIR or install Debian's dataset-fashion-mnist",
    )
    return cache / "FashionMNIST" / "raw"


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


FASHION_MNIST = Task(
    name="fashion-mnist",
    load=load_fashion_mnist,
    networks={"lenet": lenet},
    reference_size=500,
    select_size=500,
    default_shift="symmetric:0.4",
)
