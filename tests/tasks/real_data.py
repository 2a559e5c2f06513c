"""Where a machine keeps the data sets that are too large to be made for a test."""

import os
from pathlib import Path

import pytest


def real_data(folder: str) -> Path:
    """The directory $ADIW_DATA_DIR, if it has ``folder``; else the test is skipped."""
    root = os.environ.get("ADIW_DATA_DIR")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"no {folder}/ in $ADIW_DATA_DIR")
    return Path(root)
