"""Cross-fitting: every clean row selects once and weighs in all other folds."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adiw_tune.errors import UserError
from adiw_tune.tasks import Splits, parse_shift

from .test_splits import APART, NONE, ROWS, TASK, numbers


def all_folds(folds: int, seed: int = 0, apart: bool = False, **sizes: int) -> list[Splits]:
    task = APART if apart else TASK
    shift = parse_shift("symmetric:0.4")
    return [task.splits(shift, seed, **sizes, folds=folds, fold=fold) for fold in range(folds)]


@settings(max_examples=30, deadline=None)
@given(
    folds=st.integers(2, 12),
    seed=st.integers(0, 1000),
    reference_size=st.integers(1, 60),
    select_size=st.integers(11, 60),
    apart=st.booleans(),
)
def test_every_clean_row_selects_once_and_weighs_in_all_other_folds(
    folds: int, seed: int, reference_size: int, select_size: int, apart: bool
) -> None:
    runs = all_folds(
        folds, seed, apart=apart, reference_size=reference_size, select_size=select_size
    )
    clean = reference_size + select_size
    selects = Counter(row for run in runs for row in numbers(run.select))
    weighs = Counter(row for run in runs for row in numbers(run.reference))
    assert set(selects.values()) == {1}
    assert len(selects) == clean
    assert weighs == Counter(dict.fromkeys(selects, folds - 1))
    for run in runs:
        assert not numbers(run.select) & numbers(run.reference)
        assert not (numbers(run.select) | numbers(run.reference)) & numbers(run.train)
        assert len(run.select) in (clean // folds, -(-clean // folds))
        assert len(run.select) + len(run.reference) == clean
        assert len(run.train) == (ROWS if apart else ROWS - clean)


@pytest.mark.parametrize("apart", [False, True])
def test_training_rows_and_their_labels_are_the_same_in_every_fold(apart: bool) -> None:
    digests = [run.digests() for run in all_folds(4, apart=apart)]
    for role, different in (("train", 1), ("test", 1), ("reference", 4), ("select", 4)):
        assert len({each[role] for each in digests}) == different


def test_training_rows_are_those_without_folds() -> None:
    (run, *_), plain = all_folds(3), TASK.splits(parse_shift("symmetric:0.4"), 0)
    assert run.digests()["train"] == plain.digests()["train"]
    assert numbers(run.select) | numbers(run.reference) == (
        numbers(plain.select) | numbers(plain.reference)
    )


def test_without_sizes_all_rows_that_stand_apart_are_used() -> None:
    large = replace(APART, reference_size=500, select_size=500)
    splits = large.splits(NONE, 0, folds=5)
    assert (len(splits.reference), len(splits.select)) == (240, 60)
    assert numbers(splits.reference) | numbers(splits.select) == set(range(5000, 5300))
    with pytest.raises(UserError, match="are more than the 300 clean rows"):
        large.splits(NONE, 0, select_size=20, folds=5)


def test_without_sizes_rows_drawn_are_as_many_as_by_default() -> None:
    splits = TASK.splits(NONE, 0, folds=4)
    assert (len(splits.reference), len(splits.select), len(splits.train)) == (225, 75, 700)


def test_seed_cuts_the_folds() -> None:
    first, other = (TASK.splits(NONE, seed, folds=5, fold=2) for seed in (0, 1))
    assert numbers(first.select) != numbers(other.select)


def test_fold_without_rows_is_refused() -> None:
    one_each = TASK.splits(NONE, 0, 2, 3, folds=5, fold=4)
    assert (len(one_each.reference), len(one_each.select)) == (4, 1)
    problem = "folds must be at most the number of clean rows, 5; got 6"
    with pytest.raises(UserError, match=problem):
        TASK.splits(NONE, 0, 2, 3, folds=6)
    few = replace(TASK, load=lambda data_dir: replace(TASK.load(None), trusted=FIVE))
    with pytest.raises(UserError, match=problem):
        few.splits(NONE, 0, folds=6)


FIVE = APART.load(None).trusted.take(torch.arange(5))  # type: ignore[union-attr]
