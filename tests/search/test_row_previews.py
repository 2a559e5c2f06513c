"""What rows look like: pictures, texts before they are numbers, and values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from adiw_tune.errors import UserError
from adiw_tune.search.row_previews import preview_of, row_previews
from adiw_tune.tasks import Split, Splits, StreamedSplit, find_task, parse_shift
from adiw_tune.tasks.rows import loaded
from adiw_tune.tracking.rows_page import ShownRow, SuspectRows, rows_page, write_rows

EVIL = "<img src=x onerror=alert(1)> & more"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_images_are_pictures(channels: int, dtype: torch.dtype) -> None:
    pixels = torch.arange(channels * 30).reshape(channels, 5, 6)
    x = pixels.to(dtype) if dtype == torch.uint8 else (pixels / 255).to(dtype)
    found = preview_of(x)
    assert found.picture is not None
    assert found.text == ""
    expected = pixels[0] if channels == 1 else pixels.permute(1, 2, 0)
    np.testing.assert_array_equal(found.picture, expected.numpy())


def test_other_ranges_are_scaled() -> None:
    found = preview_of(torch.linspace(-2, 2, 25).reshape(1, 5, 5))
    assert found.picture is not None
    assert (found.picture.min(), found.picture.max()) == (0, 255)
    assert preview_of(torch.full((1, 5, 5), float("nan"))).picture is not None


def test_a_picture_of_pil_is_one() -> None:
    found = preview_of(Image.new("L", (6, 5), 7))
    assert found.picture is not None
    assert found.picture.shape == (5, 6, 3)


def test_what_is_no_image_has_its_first_values() -> None:
    assert preview_of(torch.tensor([0.5, 1.0, -3.25])).text == "0.5, 1, -3.25"
    assert preview_of(torch.arange(40)).text.endswith("10, 11, ... (40 values)")
    assert preview_of(torch.zeros(2, 8, 8)).picture is None
    several = preview_of({"tokens": torch.tensor([5, 0]), "of": [torch.tensor(True), "a\nb"]})
    assert several.text == "tokens: 5, 0\nof 0: 1\nof 1: a\nb"


def test_numbers_of_tokens_are_whole_and_arrays_of_texts_are_texts() -> None:
    assert preview_of(torch.tensor([30522, 101])).text == "30522, 101"
    words = np.array([[["a", "b"]]] * 3)
    assert preview_of({"words": words, "x": torch.ones(1)}).text.startswith("words: [[['a' 'b']]")
    many = np.full((3, 8, 8), "a")
    assert preview_of(many).picture is None


class Titles(Dataset[Any]):
    """Texts, of which collate_fn makes numbers."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, item: int) -> tuple[str, int]:
        self.read.append(item)
        return self.texts[item], 0

    @staticmethod
    def collate_fn(items: list[tuple[str, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([[len(text)] for text, _ in items]), torch.zeros(len(items))


def streamed(texts: list[str], index: list[int]) -> Splits:
    splits = find_task("digits").splits(parse_shift("none"), seed=0)
    items = torch.tensor(index)
    train = StreamedSplit(Titles(texts), torch.zeros(len(index), dtype=torch.int64), items)
    return replace(splits, train=train, numbers=items)  # type: ignore[arg-type]


def test_texts_of_a_data_set_are_shown_as_they_came_and_only_these_are_read() -> None:
    splits = streamed(["zero", "one", "two", EVIL], [3, 1, 2])
    assert [look.text for look in row_previews(splits, [2, 3])] == ["two", EVIL]
    dataset: Any = splits.train.dataset  # type: ignore[attr-defined]
    assert dataset.read == [2, 3]


def test_a_row_that_cannot_be_read_is_told() -> None:
    with pytest.raises(UserError, match="item 9 of the data set cannot be read"):
        row_previews(streamed(["zero"], [0, 9]), [9])


def test_rows_are_found_by_their_numbers_in_the_tasks_data() -> None:
    task = find_task("digits")
    splits = task.splits(parse_shift("class-prior:10"), seed=1)
    assert splits.numbers is not None
    number = int(splits.numbers[17])
    (found,) = row_previews(splits, [number])
    rows = loaded(task.load(None).rows)
    assert isinstance(rows, Split)
    np.testing.assert_array_equal(found.picture, (255 * rows.inputs[number, 0]).round().numpy())


def test_a_text_that_is_no_utf_8_does_not_hold_up_the_page(tmp_path: Path) -> None:
    row = ShownRow(1, 7, "half \ud800", "dog", None, 0.5, -1.0, preview_of("half \ud800"))
    suspects = SuspectRows([row], 9, "for 2 of 9", "3 runs", "adiw-tune rows s", list)
    write_rows("s", suspects, tmp_path)
    assert (tmp_path / "rows.html").read_text().count("half ?") == 2


def test_the_page_shows_text_as_text() -> None:
    row = ShownRow(1, 7, EVIL, EVIL, None, 0.5, -1234.5, preview_of(EVIL))
    suspects = SuspectRows([row], 9, "for 2 of 9", "3 runs of trial t1", "adiw-tune rows s", list)
    page = rows_page(EVIL, suspects)
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt; &amp; more") == 5
    assert (
        "The 1 most suspicious of 9 training rows, by 3 runs of trial t1. For 2 of 9.</p>" in page
    )
    assert "<td class='number'>-1234</td>" in page  # the fit of a large loss
    assert "<script>" not in page
