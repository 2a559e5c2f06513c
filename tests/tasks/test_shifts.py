"""Shifts of the training rows."""

import pytest
import torch
from scipy.stats import binom

from adiw_tune.errors import UserError
from adiw_tune.tasks import parse_shift
from adiw_tune.tasks.shifts import ClassPrior, NoShift, PairNoise, Shift, Shifted, SymmetricNoise

CLEAN = torch.arange(20_000) % 10


def apply(shift: Shift, seed: int = 0) -> Shifted:
    return shift.apply(CLEAN, 10, torch.Generator().manual_seed(seed))


def assert_rate(flipped: torch.Tensor, rate: float) -> None:
    """The number of flips is one that chance gives in all but 1 of 10^6 draws."""
    low, high = binom.interval(1 - 1e-6, len(flipped), rate)
    assert low <= int(flipped.sum()) <= high


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.45, 0.8])
@pytest.mark.parametrize("kind", [SymmetricNoise, PairNoise])
def test_noise_flips_labels_at_its_rate_and_keeps_all_rows(
    kind: type[SymmetricNoise] | type[PairNoise], rate: float
) -> None:
    shifted = apply(kind(rate))
    assert torch.equal(shifted.kept, torch.arange(20_000))
    assert shifted.labels.dtype == torch.int64
    assert shifted.labels.min() >= 0
    assert shifted.labels.max() <= 9
    flipped = shifted.labels != CLEAN
    assert_rate(flipped, rate)
    for label in range(10):
        assert_rate(flipped[label == CLEAN], rate)


def test_symmetric_noise_moves_a_label_to_every_other_class_alike() -> None:
    shifted = apply(SymmetricNoise(0.6))
    flipped = shifted.labels != CLEAN
    moved = ((shifted.labels - CLEAN) % 10)[flipped]
    for offset in range(1, 10):
        assert_rate(moved == offset, 1 / 9)


def test_pair_noise_moves_a_label_to_the_next_class_only() -> None:
    shifted = apply(PairNoise(0.45))
    offset = (shifted.labels - CLEAN) % 10
    assert set(offset.tolist()) == {0, 1}


def test_class_prior_thins_the_upper_half_of_the_classes() -> None:
    shifted = apply(ClassPrior(20.0))
    assert torch.equal(shifted.labels, CLEAN[shifted.kept])
    assert torch.bincount(shifted.labels).tolist() == [2000] * 5 + [100] * 5
    assert (shifted.kept.diff() > 0).all()  # no row twice


def test_class_prior_of_odd_classes_thins_the_smaller_half() -> None:
    labels = torch.arange(300) % 3
    shifted = ClassPrior(10.0).apply(labels, 3, torch.Generator().manual_seed(0))
    assert torch.bincount(shifted.labels).tolist() == [100, 100, 10]


def test_class_prior_leaves_at_least_one_row_of_a_class() -> None:
    shifted = apply(ClassPrior(1e9))
    assert torch.bincount(shifted.labels).tolist() == [2000] * 5 + [1] * 5


def test_class_prior_adds_no_row_of_an_absent_class() -> None:
    shifted = ClassPrior(4.0).apply(torch.zeros(8).long(), 4, torch.Generator().manual_seed(0))
    assert shifted.labels.tolist() == [0] * 8


def test_no_shift_changes_nothing() -> None:
    shifted = apply(NoShift())
    assert torch.equal(shifted.kept, torch.arange(20_000))
    assert torch.equal(shifted.labels, CLEAN)


@pytest.mark.parametrize("shift", [SymmetricNoise(0.4), PairNoise(0.4), ClassPrior(10.0)])
def test_seed_fixes_the_shift(shift: Shift) -> None:
    first, same, other = apply(shift, 3), apply(shift, 3), apply(shift, 4)
    assert torch.equal(first.kept, same.kept)
    assert torch.equal(first.labels, same.labels)
    assert not (torch.equal(first.kept, other.kept) and torch.equal(first.labels, other.labels))


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("none", NoShift()),
        ("symmetric:0.4", SymmetricNoise(0.4)),
        ("pair:0", PairNoise(0.0)),
        ("class-prior:10", ClassPrior(10.0)),
    ],
)
def test_shift_is_parsed(text: str, shift: Shift) -> None:
    assert parse_shift(text) == shift


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symetric:0.4", "unknown shift 'symetric:0.4': write none, symmetric:R, pair:R"),
        ("", "unknown shift ''"),
        ("none:0.1", "unknown shift 'none:0.1'"),
        ("pair", "shift 'pair' needs a number after the colon, like pair:0.4"),
        ("pair:", "shift 'pair:' needs a number"),
        ("pair:lots", "shift 'pair:lots' needs a number"),
        ("pair:1", r"noise rate must lie in \[0, 1\); got 1 in 'pair:1'"),
        ("symmetric:-0.1", r"noise rate must lie in \[0, 1\); got -0.1"),
        ("symmetric:nan", r"noise rate must lie in \[0, 1\); got nan"),
        ("class-prior:0.5", "class-prior ratio must be at least 1; got 0.5"),
        ("class-prior:inf", "class-prior ratio must be at least 1; got inf"),
        ("class-prior:nan", "class-prior ratio must be at least 1; got nan"),
    ],
)
def test_bad_shift_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_shift(text)
    assert "\n" not in str(caught.value)
