"""What single training rows look like: pictures, texts, or their first values."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adiw_tune.errors import in_one_line, told_as
from adiw_tune.tasks import Rows, Split, Splits, StreamedSplit
from adiw_tune.tasks.nests import Nest, mapped, named
from adiw_tune.tracking.rows_page import RowPreview

_VALUES = 12  # of an array, the first
_LEAVES = 30  # of a nest, the first
_CHARACTERS = 2000  # of a text
_SMALLEST = 4  # pixels of a picture's side


def row_previews(splits: Splits, numbers: Sequence[int]) -> list[RowPreview]:
    """Of training rows, which are read for it; ``numbers`` are theirs in the task's data.

    Raises:
        UserError: one cannot be read.
    """
    return [preview_of(inputs) for inputs in _read(splits.train, _places(splits, numbers))]


def preview_of(inputs: Nest) -> RowPreview:
    """Of the inputs of one row: a nest of tensors, arrays, texts and pictures of PIL's.

    The first picture is shown as such: [3, H, W] or [1, H, W], bytes, or numbers in [0, 1]; others
    are scaled to that.
    """
    picture, texts = None, []
    parts = list(named(inputs, ""))
    for name, part in parts[:_LEAVES]:
        if picture is None and (found := _picture(part)) is not None:
            picture = found
        else:
            texts.append(f"{_plain(name)}: {_text(part)}" if name else _text(part))
    if len(parts) > _LEAVES:
        texts.append(f"... ({len(parts)} in all)")
    return RowPreview(picture, "\n".join(texts))


def _places(splits: Splits, numbers: Sequence[int]) -> Tensor:
    """Of each number, the place in ``splits.train``."""
    wanted = torch.tensor(numbers, dtype=torch.int64)
    if splits.numbers is None:
        return wanted
    in_order, places = splits.numbers.cpu().sort()
    return places[torch.searchsorted(in_order, wanted)]


def _read(rows: Rows, places: Tensor) -> Iterator[Nest]:
    if isinstance(rows, StreamedSplit):
        for item in rows.index[places].tolist():
            yield _item(rows, item)
    else:
        assert isinstance(rows, Split)
        some = rows.take(places.to(rows.labels.device)).to(torch.device("cpu"))
        for place in range(len(some)):
            yield mapped(lambda x, place=place: x[place], some.inputs)


def _item(rows: StreamedSplit, item: int) -> Nest:
    """As the data set gives it: before a collate_fn makes numbers of a text."""
    unread = f"item {item} of {rows.name} cannot be read"
    with told_as(lambda error: f"{unread} ({in_one_line(error)})"):
        return rows.dataset[item][0]


def _picture(part: Any) -> np.ndarray | None:
    """uint8, [H, W] or [H, W, 3]; None of what is none."""
    if hasattr(part, "convert") and hasattr(part, "getbands"):  # of PIL's
        return np.asarray(part.convert("RGB"))
    if not isinstance(part, Tensor | np.ndarray) or part.ndim != 3:
        return None
    if isinstance(part, np.ndarray) and part.dtype.kind not in "biuf":  # such as texts
        return None
    x = torch.as_tensor(part).detach().cpu()
    if x.shape[0] not in (1, 3) or min(x.shape[1:]) < _SMALLEST:
        return None
    if x.dtype != torch.uint8:
        if not x.is_floating_point():
            return None
        x = _in_bytes(x.float().nan_to_num(0, 0, 0))
    return (x[0] if len(x) == 1 else x.permute(1, 2, 0)).numpy()


def _in_bytes(x: Tensor) -> Tensor:
    low, high = x.min(), x.max()
    if low < 0 or high > 1:  # as where means are subtracted
        x = (x - low) / (high - low).clamp_min(1e-12)
    return (255 * x).round().to(torch.uint8)


def _plain(name: str) -> str:
    """tokens of ['tokens'], and so on."""
    return " ".join(re.findall(r"[^\[\]']+", name))


def _text(part: Any) -> str:
    if isinstance(part, bytes | str):
        text = part if isinstance(part, str) else repr(part)
        return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} ..."
    try:
        values = torch.as_tensor(part).detach().cpu().flatten()
    except Exception:  # whatever it may be
        return str(part)[:_CHARACTERS]
    first = ", ".join(_number(value) for value in values[:_VALUES].tolist())
    return first if len(values) <= _VALUES else f"{first}, ... ({len(values)} values)"


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, int) else f"{value:.4g}"
