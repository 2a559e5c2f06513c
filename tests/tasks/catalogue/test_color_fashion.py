"""Coloured Fashion-MNIST: the picture in one of three channels, the colour told by its group."""

from pathlib import Path

import pytest
import torch

from adiw_tune.tasks import TASKS, check_task, parse_shift
from adiw_tune.tasks.catalogue.color_fashion import load_color_fashion
from adiw_tune.tasks.catalogue.fashion_mnist import load_fashion_mnist
from adiw_tune.tasks.rows import loaded

from ..real_data import installed_fashion_mnist
from .test_fashion_mnist import write_tree


def test_picture_is_in_the_channel_of_its_colour_alone(tmp_path: Path) -> None:
    write_tree(tmp_path)
    grey, data = load_fashion_mnist(tmp_path), load_color_fashion(tmp_path)
    for plain, coloured in ((grey.rows, data.rows), (grey.test, data.test)):
        before, after = loaded(plain), loaded(coloured)
        assert after.inputs.dtype == torch.uint8
        assert after.inputs.shape[1:] == (3, 28, 28)
        assert torch.equal(after.labels, before.labels)
        assert after.groups is not None
        assert set(after.groups.tolist()) == {0, 1, 2}
        channel = after.inputs[torch.arange(len(after)), after.groups].unsqueeze(1)
        assert torch.equal(channel.float() / 255, before.inputs)
        assert torch.equal(after.inputs.sum(dim=1), channel[:, 0])


def test_colours_are_the_same_each_time(tmp_path: Path) -> None:
    write_tree(tmp_path)
    torch.manual_seed(1)
    first = loaded(load_color_fashion(tmp_path).rows).groups
    torch.manual_seed(2)
    again = loaded(load_color_fashion(tmp_path).rows).groups
    assert first is not None
    assert again is not None
    assert torch.equal(first, again)


def test_only_red_rows_are_left_to_train_on_when_the_support_is_shifted(tmp_path: Path) -> None:
    write_tree(tmp_path)
    splits = TASKS["color-fashion"].splits(parse_shift("group-prior:inf"), 0, 10, 10, tmp_path)
    assert splits.train.groups is not None
    assert set(splits.train.groups.tolist()) == {0}
    for rows in (splits.reference, splits.select, splits.test):
        assert rows.groups is not None
        assert set(rows.groups.tolist()) == {0, 1, 2}


def test_color_fashion_as_installed_has_as_many_rows_of_each_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed_fashion_mnist()
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    rows = loaded(load_color_fashion(None).rows)
    assert rows.groups is not None
    counts = torch.bincount(rows.groups * 10 + rows.labels)
    assert len(counts) == 30
    assert int((counts - 2000).abs().max()) < 200  # over 5 standard deviations
    assert check_task(TASKS["color-fashion"]) == []
