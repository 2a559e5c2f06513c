"""Images of 32 x 32 pixels and labels from a parquet file, as Hugging Face keeps CIFAR's."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adiw_tune.errors import UserError

# Encoded images: bytes, or a struct of bytes and the path that they came from, whole or flat.
_IMAGES = ("img", "image", "img.bytes", "image.bytes")


def read_images(file: Path, label_column: str, classes: int) -> tuple[Tensor, Tensor]:
    """Images, uint8 [n, 3, 32, 32], and labels, int64 [n] in [0, classes)."""
    table = _table(file)
    names = table.column_names
    image_column = next((name for name in _IMAGES if name in names), None)
    if image_column is None or label_column not in names:
        raise UserError(
            f"'{file}' has columns {', '.join(names)}: CIFAR-{classes} needs "
            f"{' or '.join(_IMAGES[:2])}, and {label_column}"
        )
    if not len(table):
        raise UserError(f"'{file}' has no rows: fetch it again")
    labels = _labels(table[label_column], f"column {label_column} of '{file}'")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(
            f"'{file}' has labels outside 0 .. {classes - 1}: it is not CIFAR-{classes}"
        )
    encoded = _encoded(table[image_column], f"column {image_column} of '{file}'")
    return torch.stack([_decoded(image, i, file) for i, image in enumerate(encoded)]), labels


def _table(file: Path) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_table(file)
    except (OSError, pyarrow.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"'{file}' is damaged ({why}): fetch it again") from error


def _labels(column: Any, what: str) -> Tensor:
    from pyarrow import types

    if not types.is_integer(column.type) or column.null_count:
        raise UserError(f"{what} is {_kind(column, column)}: labels are whole numbers")
    return torch.tensor(column.to_pylist(), dtype=torch.int64)


def _encoded(column: Any, what: str) -> list[bytes]:
    from pyarrow import compute, types

    cells = column
    if types.is_struct(column.type) and "bytes" in [field.name for field in column.type]:
        cells = compute.struct_field(column, "bytes")
    if not (types.is_binary(cells.type) or types.is_large_binary(cells.type)) or cells.null_count:
        kind = _kind(column, cells)
        raise UserError(f"{what} is {kind}: images are bytes, or structs of bytes")
    found: list[bytes] = cells.to_pylist()
    return found


def _kind(column: Any, cells: Any) -> str:
    return f"{column.type}, some null" if cells.null_count else str(column.type)


def _decoded(image: bytes, row: int, file: Path) -> Tensor:
    from PIL import Image

    try:
        pixels = Image.open(io.BytesIO(image)).convert("RGB")
    except (OSError, SyntaxError, TypeError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"image {row} of '{file}' cannot be decoded ({error}): fetch it again"
        ) from error
    if pixels.size != (32, 32):
        raise UserError(
            f"image {row} of '{file}' is of {pixels.width} x {pixels.height} pixels: "
            "CIFAR's are of 32 x 32"
        )
    flat = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    return flat.view(32, 32, 3).permute(2, 0, 1)
