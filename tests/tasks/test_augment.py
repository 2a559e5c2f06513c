"""Random changes of images: each image its own, fixed by the seed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from adiw_tune.tasks.augment import crop_and_flip, resized_crop_and_flip

Augment = Callable[[Tensor], Tensor]
BOTH = pytest.mark.parametrize("augment", [crop_and_flip, resized_crop_and_flip])


def images(rows: int, channels: int = 3, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (rows, channels, side, side)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=generator)


def seeded(augment: Augment, x: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augment(x)


@BOTH
def test_shape_and_dtype_stay(augment: Augment) -> None:
    for x in (images(5), images(5).float(), images(1, channels=1, side=28)):
        changed = augment(x)
        assert changed.shape == x.shape
        assert changed.dtype == x.dtype


@BOTH
def test_images_given_are_left_as_they_are(augment: Augment) -> None:
    x = images(4)
    before = x.clone()
    augment(x)
    assert torch.equal(x, before)


@BOTH
def test_global_seed_fixes_the_change(augment: Augment) -> None:
    x = images(20)
    assert torch.equal(seeded(augment, x, 1), seeded(augment, x, 1))
    assert not torch.equal(seeded(augment, x, 1), seeded(augment, x, 2))


@BOTH
def test_each_image_is_changed_in_its_own_way(augment: Augment) -> None:
    same = images(1).expand(50, -1, -1, -1)
    assert len(seeded(augment, same).unique(dim=0)) > 25


def test_every_crop_is_a_part_of_the_padded_image_or_of_its_mirror() -> None:
    x = images(1)
    padded = torch.zeros(3, 40, 40, dtype=torch.uint8)
    padded[:, 4:36, 4:36] = x[0]
    possible = {
        flipped.numpy().tobytes(): (top, left, flip)
        for top in range(9)
        for left in range(9)
        for flip in (False, True)
        for part in [padded[:, top : top + 32, left : left + 32]]
        for flipped in [part.flip(2).contiguous() if flip else part.contiguous()]
    }
    crops = seeded(crop_and_flip, x.expand(2000, -1, -1, -1))
    found = [possible[crop.numpy().tobytes()] for crop in crops]
    assert len(set(found)) == len(possible) == 162
    assert 0.45 < sum(flip for _, _, flip in found) / len(found) < 0.55


def test_whole_image_is_among_the_parts() -> None:
    x = images(200)
    whole = seeded(lambda x: resized_crop_and_flip(x, scale=(1, 1), ratio=(1, 1)), x)
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(whole, x, strict=True)])
    as_it_was = torch.tensor([torch.equal(a, b) for a, b in zip(whole, x, strict=True)])
    assert (mirrored | as_it_was).all()
    assert 70 < int(mirrored.sum()) < 130


def test_parts_have_the_areas_and_ratios_asked_for() -> None:
    # On a ramp, the difference from end to end is the share of the side that the part has.
    side = 64
    ramp = torch.linspace(0, 1, side)
    x = torch.stack([ramp.expand(side, side), ramp.unsqueeze(1).expand(side, side)])
    parts = seeded(resized_crop_and_flip, x.expand(2000, -1, -1, -1))
    wide = (parts[:, 0, 5, -1] - parts[:, 0, 5, 0]).abs()
    high = (parts[:, 1, -1, 5] - parts[:, 1, 0, 5]).abs()
    area, ratio = wide * high, wide / high
    assert 0.07 < float(area.min()) < 0.12
    assert 0.9 < float(area.max()) < 1.03
    assert 0.72 < float(ratio.min()) < 0.8
    assert 1.25 < float(ratio.max()) < 1.39
    assert 0.4 < float(area.median()) < 0.6
    assert float(parts.min()) >= 0
    assert float(parts.max()) <= 1
