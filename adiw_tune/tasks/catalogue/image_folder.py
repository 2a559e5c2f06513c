"""Your images in folders, one for each class, with a ResNet; read as they are needed."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError
from adiw_tune.tasks.augment import resized_crop_and_flip
from adiw_tune.tasks.base import Task
from adiw_tune.tasks.catalogue.finding import chosen_directory
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.networks import resnet18, resnet50
from adiw_tune.tasks.streamed import StreamedSplit, stream

_SHORT_SIDE, _SIDE = 256, 224  # pixels


def load_image_folder(data_dir: Path | None) -> Data:
    """Rows of train/ to train and choose on, and of test/, or val/ where that is missing, to test.

    In each, a class is a folder of images: train/cat/1.jpg. Where there is a folder reference/,
    its images are rows to trust, the reference and select rows are drawn from it, and those of
    train/ may have wrong labels. Looked for in ``data_dir``, else in $ADIW_DATA_DIR.

    Rows are bytes [3, 224, 224]: the middle of the image, its short side made 256 pixels long.
    They are changed at random on the device, rows of training and reference rows in the same
    way, since their losses are compared.
    """
    root = chosen_directory(data_dir)
    if root is None:
        raise UserError("task image-folder reads your images: give --data-dir or set ADIW_DATA_DIR")
    test = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if not (root / "train").is_dir() or test is None:
        raise UserError(f"'{root}' needs a folder train/ and a folder test/ or val/")
    classes = _class_names(root / "train")
    if not classes:
        raise UserError(f"'{root / 'train'}' needs a folder of images for each class")
    trusted = root / "reference"
    return Data(
        rows=_rows(root / "train", classes),
        test=_rows(test, classes),
        classes=len(classes),
        trusted=_rows(trusted, classes) if trusted.is_dir() else None,
        names=tuple(classes),
    )


def _class_names(folder: Path) -> list[str]:
    names = (entry.name for entry in folder.iterdir() if entry.is_dir())
    return sorted(name for name in names if not name.startswith("."))


def _rows(folder: Path, classes: list[str]) -> StreamedSplit:
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    unknown = set(_class_names(folder)) - set(classes)
    if unknown:
        raise UserError(
            f"'{folder / min(unknown)}' is of a class that train/ does not have: "
            f"its classes are {', '.join(classes)}"
        )
    label_of = {name: label for label, name in enumerate(classes)}
    try:
        files = make_dataset(str(folder), label_of, IMG_EXTENSIONS, allow_empty=True)
    except (OSError, ValueError) as error:
        raise UserError(f"'{folder}' cannot be read ({error})") from error
    # A class must be trained; it need not be met in the test.
    empty = set(range(len(classes))) - {label for _, label in files}
    if empty and (folder.name == "train" or not files):
        where = folder / classes[min(empty)]
        raise UserError(f"'{where}' holds no images: {', '.join(IMG_EXTENSIONS)} are read")
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    return stream(_Images(files), labels, name=f"'{folder}'")


class _Images(Dataset[tuple[Tensor, int]]):
    """Image files, read as bytes [3, 224, 224]."""

    def __init__(self, files: list[tuple[str, int]]) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        path, label = self._files[item]
        return _read_image(path), label


def _read_image(path: str) -> Tensor:
    from PIL import Image
    from torchvision.datasets.folder import pil_loader
    from torchvision.transforms import functional

    # What Pillow raises about damaged files, and about some that are not but are huge.
    damaged = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    try:
        image: Any = pil_loader(path)
    except damaged as error:
        raise UserError(f"image '{path}' cannot be read ({error}): replace or remove it") from error
    image = functional.center_crop(functional.resize(image, _SHORT_SIDE), _SIDE)
    pixels: torch.Tensor = functional.pil_to_tensor(image)
    return pixels


IMAGE_FOLDER = Task(
    name="image-folder",
    load=load_image_folder,
    networks={"resnet50": resnet50, "resnet18": resnet18},
    reference_size=500,
    select_size=1000,
    augment=resized_crop_and_flip,
)
