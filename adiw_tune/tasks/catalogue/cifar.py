"""CIFAR-10 and CIFAR-100 with ResNets, from parquet or from torchvision's files."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks.augment import crop_and_flip
from adiw_tune.tasks.base import Task
from adiw_tune.tasks.catalogue.finding import downloaded, find_folder
from adiw_tune.tasks.catalogue.parquet import read_images
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.networks import resnet18_small, resnet32
from adiw_tune.tasks.rows import Split

_BATCHES = {10: "cifar-10-batches-py", 100: "cifar-100-python"}  # torchvision's folders
_LABELS = {10: "label", 100: "fine_label"}  # Hugging Face's columns


def load_cifar(classes: int, data_dir: Path | None) -> Data:
    """50,000 rows to train and choose on, and 10,000 to test on: bytes [3, 32, 32].

    Looked for in ``data_dir``, else in $ADIW_DATA_DIR (the directory itself, or its cifar10/ or
    cifar100/), else downloaded by torchvision into ~/.cache/adiw-tune. Files are parquet with
    encoded images as Hugging Face keeps them (train-*.parquet, test-*.parquet), or torchvision's.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    folder = find_folder(
        data_dir,
        (f"cifar{classes}",),
        lambda folder: _is_parquet(folder) or (folder / _BATCHES[classes]).is_dir(),
        what=f"train-*.parquet or {_BATCHES[classes]}/",
        hint=f"give the directory that holds CIFAR-{classes}",
    )
    if folder is None:
        return _load_torchvision(_download(classes), classes)
    if _is_parquet(folder):
        train, test = (_read_parquet(folder, role, classes) for role in ("train", "test"))
        return Data(train, test, classes)
    return _load_torchvision(folder, classes)


def _is_parquet(folder: Path) -> bool:
    return any(folder.glob("train-*.parquet"))


@lru_cache(maxsize=2)  # 60,000 images take seconds, which each trial of a search would pay
def _read_parquet(folder: Path, role: str, classes: int) -> Split:
    files = sorted(folder.glob(f"{role}-*.parquet"))
    if not files:
        raise UserError(
            f"'{folder}' has no {role}-*.parquet: the train and the test file are needed"
        )
    parts = [read_images(file, _LABELS[classes], classes) for file in files]
    inputs, labels = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return Split(inputs, labels)


def _download(classes: int) -> Path:
    return downloaded(
        f"CIFAR-{classes}",
        lambda root: _torchvision(classes)(root, download=True),
        "give --data-dir or set ADIW_DATA_DIR",
    )


def _load_torchvision(root: Path, classes: int) -> Data:
    # torchvision compares each file with its known md5 before it unpickles what is in it.
    try:
        parts = [_torchvision(classes)(str(root), train=train) for train in (True, False)]
    except RuntimeError as error:
        raise UserError(
            f"'{root / _BATCHES[classes]}' is damaged or incomplete: fetch it again"
        ) from error
    train, test = (
        Split(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(),
            torch.tensor(part.targets, dtype=torch.int64),
        )
        for part in parts
    )
    return Data(train, test, classes)


def _torchvision(classes: int) -> Any:
    from torchvision import datasets

    return datasets.CIFAR10 if classes == 10 else datasets.CIFAR100


CIFAR10, CIFAR100 = (
    Task(
        name=f"cifar{classes}",
        load=partial(load_cifar, classes),
        networks={"resnet32": resnet32, "resnet18": resnet18_small},
        reference_size=500,
        select_size=1000,
        augment=crop_and_flip,
        default_shift="symmetric:0.4",
    )
    for classes in (10, 100)
)
