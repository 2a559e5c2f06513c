"""Where a machine keeps the data sets that are too large to be made for a test."""

import os
from pathlib import Path

import pytest

_INSTALLED = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


def installed_fashion_mnist() -> Path:
    """Where Debian's package puts Fashion-MNIST; without it the test is skipped; in CI it fails."""
    if not _INSTALLED.exists():
        assert os.environ.get("CI") != "true", f"CI must have Fashion-MNIST in {_INSTALLED}"
        pytest.skip(f"no Fashion-MNIST in {_INSTALLED}: install Debian's dataset-fashion-mnist")
    return _INSTALLED


def real_data(folder: str) -> Path:
    """The directory $ADIW_DATA_DIR, if it has ``folder``; else the test is skipped."""
    root = os.environ.get("ADIW_DATA_DIR")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"no {folder}/ in $ADIW_DATA_DIR")
    return Path(root)
