"""Digests: equal for equal rows, different as soon as anything about the rows is."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adiw_tune.tasks import TASKS, Split, StreamedSplit, parse_shift
from adiw_tune.tasks.rows import digest

from .test_streamed import Numbered
from .test_streamed import rows as streamed

DTYPES = [torch.float32, torch.uint8, torch.int64, torch.bfloat16]
SPLIT = Split(torch.arange(24.0).reshape(4, 2, 3), torch.tensor([0, 1, 2, 0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_rows_have_equal_digests_however_they_lie_in_memory(dtype: torch.dtype) -> None:
    inputs = SPLIT.inputs.to(dtype)
    turned = inputs.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    assert not turned.is_contiguous()
    assert len(digest(inputs, SPLIT.labels)) == 16
    assert digest(turned, SPLIT.labels) == digest(inputs.clone(), SPLIT.labels)


@given(st.sampled_from(DTYPES), st.integers(0, 23))
def test_one_pixel_makes_another_digest(dtype: torch.dtype, place: int) -> None:
    inputs = SPLIT.inputs.to(dtype)
    other = inputs.clone()
    other.view(-1)[place] += 1
    assert digest(other) != digest(inputs)


@pytest.mark.parametrize(
    "change",
    [
        lambda split: split.relabelled(torch.tensor([0, 1, 2, 1])),
        lambda split: split.take(torch.tensor([1, 0, 2, 3])),
        lambda split: split.take(torch.tensor([0, 1, 2])),
        lambda split: replace(split, inputs=split.inputs.flatten(1)),
        lambda split: replace(split, inputs=split.inputs.byte()),
        lambda split: replace(split, inputs=split.inputs.view(torch.int32)),
    ],
)
def test_other_rows_have_another_digest(change: Callable[[Split], Split]) -> None:
    assert change(SPLIT).digest() != SPLIT.digest()


def test_digest_is_that_of_any_machine() -> None:
    assert SPLIT.digest() == "8f6b0a3e05f36974"


def halved(item: int, x: Tensor) -> tuple[Tensor, int]:
    return x / 2, 0


def longer(item: int, x: Tensor) -> tuple[Tensor, int]:
    return x.repeat(2), 0


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.relabelled((rows.labels + (torch.arange(60) == 30)) % 5),
        lambda rows: rows.take(torch.arange(59)),
        lambda rows: rows.take(torch.arange(60).flip(0)),
        lambda rows: replace(rows, dataset=Numbered(halved)),
        lambda rows: replace(rows, dataset=Numbered(longer)),
    ],
)
def test_other_streamed_rows_have_another_digest(
    change: Callable[[StreamedSplit], StreamedSplit],
) -> None:
    assert streamed().digest() == streamed(workers=2).digest()
    assert change(streamed()).digest() != streamed().digest()


def test_digest_of_streamed_rows_reads_few_of_them() -> None:
    dataset = Numbered()
    streamed(dataset=dataset).digest()
    assert len(dataset.read) == 8
    assert streamed().take(torch.arange(3)).digest() != streamed().take(torch.arange(2)).digest()


def test_each_role_has_the_digest_of_its_rows() -> None:
    first, same, other = (
        TASKS["digits"].splits(parse_shift("pair:0.4"), seed).digests() for seed in (0, 0, 1)
    )
    assert list(first) == ["train", "reference", "select", "test"]
    assert first == same
    assert [role for role in first if first[role] == other[role]] == ["test"]


def test_the_shift_shows_in_the_digest_of_the_training_rows_alone() -> None:
    clean, noisy = (
        TASKS["digits"].splits(parse_shift(shift), 0).digests() for shift in ("none", "pair:0.4")
    )
    assert [role for role in clean if clean[role] != noisy[role]] == ["train"]
