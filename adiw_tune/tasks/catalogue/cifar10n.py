"""CIFAR-10 with the labels that people gave its images: CIFAR-10N."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.tasks.catalogue.cifar import CIFAR10, load_cifar
from adiw_tune.tasks.catalogue.finding import find_folder, not_here
from adiw_tune.tasks.data import Data

_PUBLISHED, _PARQUET = "CIFAR-10_human.pt", "labels.parquet"
_SOURCE = "https://github.com/UCSC-REAL/cifar-10-100n"
# What a user calls them -> what the published file does. Parquet has the names of users.
_LABELS = {
    "worst": "worse_label",
    "aggregate": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
}
_CLEAN, _ORIGINAL = "clean", "original_index"
_INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8)

Columns = Mapping[str, Tensor]


def load_cifar10n(data_dir: Path | None) -> Data:
    """CIFAR-10's rows with its own labels, and the ones that three people gave each training image.

    Shift ``labels:#worst`` trains on a wrong one of the three if there is one (40.2 % wrong),
    ``labels:#aggregate`` on what most said (9.0 %), ``labels:#random1`` to ``3`` on what each said
    (17 to 18 %), where the file has these.

    Images are found as :func:`load_cifar` finds them. Labels are looked for in the same directory,
    or its cifar10n/: CIFAR-10_human.pt, as published, in the order of torchvision's files; or
    labels.parquet with columns clean, worst ... for the images in the order of a parquet file, and
    original_index, their number in torchvision's. Either must agree with the images' own labels.

    Source: Wei, Zhu, Cheng, Liu, Niu, Liu, "Learning with noisy labels revisited: a study using
    real-world human annotations", ICLR 2022.
    """
    data = load_cifar(10, data_dir)
    folder = find_folder(
        data_dir,
        ("cifar10n",),
        lambda folder: any((folder / name).exists() for name in (_PUBLISHED, _PARQUET)),
        what=f"{_PUBLISHED} or {_PARQUET}",
        hint=f"give the directory that holds the labels of {_SOURCE}",
    )
    if folder is None:
        raise UserError(
            f"CIFAR-10N {not_here()}: fetch {_PUBLISHED} from {_SOURCE} and give --data-dir or set "
            "ADIW_DATA_DIR"
        )
    file = next(folder / name for name in (_PARQUET, _PUBLISHED) if (folder / name).exists())
    return replace(data, relabelled=_in_order(_read(file), data.rows.labels, file))


def _read(file: Path) -> Columns:
    """What the file has, by users' names."""
    try:
        return _parquet(file) if file.name == _PARQUET else _published(file)
    except Exception as error:  # whatever unpickling and pyarrow raise
        raise UserError(
            f"'{file}' is damaged or no file of CIFAR-10N ({in_one_line(error)}): fetch it again"
        ) from error


def _parquet(file: Path) -> Columns:
    from pyarrow import parquet

    table = parquet.read_table(file)
    known = [name for name in (_CLEAN, _ORIGINAL, *_LABELS) if name in table.column_names]
    return {name: torch.tensor(table[name].to_pylist(), dtype=torch.int64) for name in known}


def _published(file: Path) -> Columns:
    with torch.serialization.safe_globals(_arrays_of_integers()):
        found = torch.load(file, weights_only=True)
    names = {_CLEAN: "clean_label", **_LABELS}
    return {
        name: torch.as_tensor(found[there]).long()
        for name, there in names.items()
        if there in found
    }


def _arrays_of_integers() -> list[Any]:
    """What the pickle of such an array may name."""
    make: Any = np.zeros(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")]  # NumPy 1 and 2
    dtypes = [type(np.dtype(kind)) for kind in _INTEGERS]
    return [*((make, name) for name in names), np.ndarray, np.dtype, *dtypes]


def _in_order(columns: Columns, labels: Tensor, file: Path) -> Columns:
    """The human labels in the order of the images, which their clean labels tell."""
    human = [name for name in _LABELS if name in columns]
    for order in _orders(columns):
        if torch.equal(columns[_CLEAN][order], labels):
            return {name: columns[name][order] for name in human}
    raise UserError(
        f"'{file}' is not in the order of the images: its clean labels differ from theirs; use "
        f"{_PUBLISHED} with torchvision's files, and {_PARQUET} with the parquet file it came with"
    )


def _orders(columns: Columns) -> Iterator[Tensor]:
    """In which its rows may be those of the images."""
    if _CLEAN in columns:
        yield torch.arange(len(columns[_CLEAN]))
        if _ORIGINAL in columns:
            yield columns[_ORIGINAL].argsort()


CIFAR10N = replace(CIFAR10, name="cifar10n", load=load_cifar10n, default_shift="labels:#worst")
