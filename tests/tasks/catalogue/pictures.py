"""A small tree of real JPEG files, one folder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, classes: dict[str, int], seed: int = 0) -> None:
    """``classes``: the number of images in each. Sizes differ, upright and lying."""
    generator = np.random.default_rng(seed)
    for label, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            height, width = generator.integers(40, 120, 2)
            picture = generator.integers(0, 60, (height, width, 3), dtype=np.uint8)
            picture[:, :, label % 3] += 120  # a class can be told by its colour
            Image.fromarray(picture).save(folder / name / f"{i:03}.jpg")


def write_tree(root: Path, train: int = 20, test: int = 5, test_name: str = "val") -> None:
    """``train`` and ``test`` images of each of three classes."""
    for name, count, seed in (("train", train, 0), (test_name, test, 1)):
        write_images(root / name, dict.fromkeys(("apple", "pear", "plum"), count), seed)
