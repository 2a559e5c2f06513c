"""The roles of the data."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Data, Rows, Split, Splits, find_task, parse_shift
from adiw_tune.tasks.rows import loaded

ROWS = 1000


def numbered_rows(data_dir: Path | None) -> Data:
    """Row i holds the number i, so that a row can be found again."""
    rows = torch.arange(ROWS, dtype=torch.float32).reshape(-1, 1)
    return Data(
        Split(rows, torch.arange(ROWS) % 10, torch.arange(ROWS) // 10 % 3),
        Split(rows[:50] - 100, torch.arange(50) % 10),
        classes=10,
    )


TASK = replace(find_task("digits"), load=numbered_rows, reference_size=100, select_size=200)
NONE = parse_shift("none")


def numbers(rows: Rows) -> set[int]:
    return {int(x) for x in loaded(rows).inputs.flatten()}


@pytest.mark.parametrize("shift", ["none", "pair:0.4", "class-prior:10", "group-prior:inf"])
def test_roles_are_disjoint_and_of_the_sizes_asked_for(shift: str) -> None:
    splits = TASK.splits(parse_shift(shift), seed=0, reference_size=30, select_size=70)
    roles = [numbers(s) for s in (splits.train, splits.reference, splits.select, splits.test)]
    assert len(splits.reference) == len(roles[1]) == 30
    assert len(splits.select) == len(roles[2]) == 70
    assert len(splits.train) == len(roles[0])
    assert sum(map(len, roles)) == len(set.union(*roles))
    assert roles[3] == set(range(-100, -50))


def test_without_thinning_every_row_has_a_role() -> None:
    splits = TASK.splits(parse_shift("symmetric:0.4"), seed=0)
    assert [len(s) for s in (splits.train, splits.reference, splits.select)] == [700, 100, 200]
    used = numbers(splits.train) | numbers(splits.reference) | numbers(splits.select)
    assert used == set(range(ROWS))


def test_only_training_labels_are_shifted() -> None:
    splits = TASK.splits(parse_shift("pair:0.5"), seed=1)
    for clean in (splits.reference, splits.select):
        assert torch.equal(clean.labels, clean.inputs.flatten().long() % 10)
    true = splits.train.inputs.flatten().long() % 10
    assert 0.4 < float((splits.train.labels != true).float().mean()) < 0.6


def test_same_seed_draws_the_same_rows_and_labels() -> None:
    first, same, other = (TASK.splits(parse_shift("pair:0.4"), seed) for seed in (5, 5, 6))
    for role in ("train", "reference", "select", "test"):
        assert torch.equal(getattr(first, role).inputs, getattr(same, role).inputs)
        assert torch.equal(getattr(first, role).labels, getattr(same, role).labels)
    assert numbers(first.reference) != numbers(other.reference)


def test_shift_does_not_change_which_rows_are_drawn() -> None:
    clean, noisy = TASK.splits(NONE, 2), TASK.splits(parse_shift("pair:0.4"), 2)
    for role in ("train", "reference", "select"):
        assert torch.equal(getattr(clean, role).inputs, getattr(noisy, role).inputs)


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    TASK.splits(parse_shift("symmetric:0.4"), 2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("reference", "select"), [(2000, None), (900, 100), (500, 501)])
def test_sizes_that_leave_no_training_rows_are_refused(reference: int, select: int | None) -> None:
    with pytest.raises(UserError, match=f"reference_size {reference}.*'digits' has 1000"):
        TASK.splits(NONE, 0, reference, select)


@pytest.mark.parametrize("size", [0, -5])
def test_empty_roles_are_refused(size: int) -> None:
    with pytest.raises(UserError, match=f"reference_size must be at least 1; got {size}"):
        TASK.splits(NONE, 0, reference_size=size)
    with pytest.raises(UserError, match=f"select_size must be at least 1; got {size}"):
        TASK.splits(NONE, 0, select_size=size)


WRONG_INPUTS = torch.full((50, 1), float("nan"))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"classes": 9}, "labels of train run from 0 to 9: with 9 classes they must lie in 0 .. 8"),
        ({"classes": 1}, "the number of classes is 1: at least 2 are needed"),
        ({"rows": Split(torch.zeros(0, 1), torch.zeros(0).long())}, "train has no rows"),
        ({"test": Split(torch.zeros(0, 1), torch.zeros(0).long())}, "test has no rows"),
        (
            {"test": Split(torch.zeros(5, 2), torch.arange(5))},
            "inputs of test are [2] torch.float32, those of train [1] torch.float32: they must be "
            "alike",
        ),
        (
            {"trusted": Split(torch.zeros(5, 1).byte(), torch.arange(5))},
            "inputs of reference are [1] torch.uint8, those of train [1] torch.float32: they must "
            "be alike",
        ),
        (
            {"trusted": Split(torch.zeros(5, 1), torch.arange(5) - 1)},
            "labels of reference run from -1 to 3: with 10 classes they must lie in 0 .. 9; give "
            'real values as floats, or set TARGETS = "real"',
        ),
        (
            {"test": Split(WRONG_INPUTS, torch.arange(50) % 10)},
            "test has inputs that are not finite",
        ),
    ],
)
def test_rows_that_training_cannot_work_with_are_refused_before_it(
    change: dict[str, object], problem: str
) -> None:
    task = replace(TASK, load=lambda data_dir: replace(numbered_rows(data_dir), **change))
    with pytest.raises(UserError) as caught:
        task.splits(NONE, 0)
    assert str(caught.value) == f"task 'digits': {problem}"


def test_public_rows_are_shifted_by_default_and_ones_own_are_not() -> None:
    shifts = {task.name: task.default_shift for task in TASKS.values()}
    own = find_task(str(Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"))
    assert shifts.pop("color-fashion") == "group-prior:inf"
    assert shifts.pop("cifar10n") == "labels:#worst"
    assert shifts.pop("image-folder") == own.default_shift == "none"
    assert set(shifts.values()) == {"symmetric:0.4"}


def test_digits_has_the_rows_it_promises() -> None:
    data = TASKS["digits"].load(None)
    rows, test = loaded(data.rows), loaded(data.test)
    assert data.classes == 10
    assert rows.inputs.shape == (1400, 1, 8, 8)
    assert test.inputs.shape == (397, 1, 8, 8)
    for split in (rows, test):
        assert split.inputs.dtype == torch.float32
        assert float(split.inputs.min()) == 0
        assert float(split.inputs.max()) == 1
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(10))


CLEAN_APART = Split(torch.arange(300).float().reshape(-1, 1) + 5000, torch.arange(300) % 10)


def rows_and_trusted(data_dir: Path | None) -> Data:
    return replace(numbered_rows(data_dir), trusted=CLEAN_APART)


APART = replace(TASK, load=rows_and_trusted)


def test_trusted_rows_are_the_clean_roles_and_all_others_are_trained_on() -> None:
    splits = APART.splits(NONE, seed=0, reference_size=100, select_size=200)
    assert numbers(splits.train) == set(range(ROWS))
    clean = numbers(splits.reference) | numbers(splits.select)
    assert clean == set(range(5000, 5300))
    assert len(numbers(splits.reference)) == 100


def test_more_clean_rows_than_trusted_ones_are_refused() -> None:
    with pytest.raises(
        UserError,
        match="reference_size 150 and select_size 151 are more than the 300 clean rows of task",
    ):
        APART.splits(NONE, 0, 150, 151)


@pytest.mark.parametrize(
    ("name", "shape"), [("digits", (1, 8, 8)), ("fashion-mnist", (1, 28, 28)), ("adult", (108,))]
)
def test_network_gives_one_logit_per_class_from_its_features(
    name: str, shape: tuple[int, ...]
) -> None:
    task = find_task(name)
    assert task.name == name
    inputs = torch.randn(3, *shape)
    rows = Split(inputs, torch.zeros(3).long())
    network = task.network(Splits(rows, rows, rows, rows, classes=7))
    features, logits = network.outputs(inputs)
    assert logits.shape == (3, 7)
    assert torch.equal(network.head(features), logits)
    assert torch.equal(network(inputs), logits)


def test_unknown_network_is_refused_with_the_names_to_choose_from() -> None:
    with pytest.raises(UserError, match="'cifar10' has no network 'vgg': choose one of resnet32,"):
        find_task("cifar10").check_network("vgg")


def test_unknown_task_is_refused_with_the_names_to_choose_from() -> None:
    with pytest.raises(
        UserError, match=r"unknown task 'mnist': choose one of digits, .*, or a Python file"
    ):
        find_task("mnist")


def test_each_task_goes_by_its_name() -> None:
    assert [task.name for task in TASKS.values()] == list(TASKS)
