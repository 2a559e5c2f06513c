"""Shifts of the training rows."""

import math

import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import Data, Split, parse_shift
from adiw_tune.tasks.shifts import (
    ClassPrior,
    GroupPrior,
    InTurn,
    NoShift,
    PairNoise,
    Shift,
    Shifted,
    SymmetricNoise,
    Training,
)

CLEAN = torch.arange(20_000) % 10
GROUPS = torch.arange(20_000) // 10 % 4  # 5,000 rows in each, of all classes


def apply(shift: Shift, seed: int = 0) -> Shifted:
    return apply_to(shift, CLEAN, classes=10, seed=seed)


def apply_to(
    shift: Shift, labels: Tensor, classes: int, groups: Tensor | None = None, seed: int = 0
) -> Shifted:
    rows = Split(torch.zeros(len(labels)), labels, groups)
    training = Training(Data(rows, rows, classes), torch.arange(len(labels)), labels)
    return shift.apply(training, torch.Generator().manual_seed(seed))


def assert_rate(flipped: Tensor, rate: float) -> None:
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
    shifted = apply_to(ClassPrior(10.0), labels, classes=3)
    assert torch.bincount(shifted.labels).tolist() == [100, 100, 10]


def test_class_prior_leaves_at_least_one_row_of_a_class() -> None:
    shifted = apply(ClassPrior(1e9))
    assert torch.bincount(shifted.labels).tolist() == [2000] * 5 + [1] * 5


def test_class_prior_adds_no_row_of_an_absent_class() -> None:
    shifted = apply_to(ClassPrior(4.0), torch.zeros(8).long(), classes=4)
    assert shifted.labels.tolist() == [0] * 8


@pytest.mark.parametrize(("ratio", "left"), [(1, 15_000), (10, 1500), (1e9, 0), (math.inf, 0)])
def test_group_prior_keeps_group_0_and_thins_the_others(ratio: float, left: int) -> None:
    shifted = apply_to(GroupPrior(ratio), CLEAN, classes=10, groups=GROUPS)
    groups = GROUPS[shifted.kept]
    assert int((groups == 0).sum()) == 5000
    assert int((groups != 0).sum()) == left
    assert torch.equal(shifted.labels, CLEAN[shifted.kept])
    assert (shifted.kept.diff() > 0).all()  # no row twice


def test_group_prior_needs_groups() -> None:
    with pytest.raises(UserError, match="shift group-prior needs rows in groups: use task"):
        apply(GroupPrior(10))


def test_group_prior_that_leaves_no_row_is_refused() -> None:
    with pytest.raises(UserError, match="shift group-prior:inf keeps no row: none is in group 0"):
        apply_to(GroupPrior(math.inf), CLEAN, classes=10, groups=GROUPS + 1)


def test_shifts_in_turn_act_on_what_is_left() -> None:
    both = InTurn((GroupPrior(10), SymmetricNoise(0.3)))
    shifted = apply_to(both, CLEAN, classes=10, groups=GROUPS)
    assert torch.bincount(GROUPS[shifted.kept]).tolist()[0] == 5000
    assert len(shifted.kept) == 6500
    assert_rate(shifted.labels != CLEAN[shifted.kept], 0.3)
    turned = InTurn((SymmetricNoise(0.3), GroupPrior(10)))
    other = apply_to(turned, CLEAN, classes=10, groups=GROUPS)
    assert len(other.kept) == 6500
    assert_rate(other.labels != CLEAN[other.kept], 0.3)


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
        ("group-prior:10", GroupPrior(10.0)),
        ("group-prior:inf", GroupPrior(math.inf)),
        ("group-prior:10+symmetric:0.3", InTurn((GroupPrior(10.0), SymmetricNoise(0.3)))),
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
        ("group-prior:0.5", "group-prior ratio must be at least 1; got 0.5"),
        ("pair:0.4+none", r"unknown shift 'none'"),
        ("pair:0.4+", r"unknown shift ''"),
        ("class-prior:nan", "class-prior ratio must be at least 1; got nan"),
    ],
)
def test_bad_shift_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_shift(text)
    assert "\n" not in str(caught.value)
