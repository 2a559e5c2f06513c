"""Rows in two roles: each is found where rows differ, and chance is no leak where they do not."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Split, check_task, parse_shift
from adiw_tune.tasks.overlap import Overlap, overlap_problems, overlaps, row_digests

from .real_data import installed_fashion_mnist, real_data
from .test_own import DATASET, task_of

NONE = parse_shift("none")


def digests(numbers: list[int]) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in numbers]


def found(source: str = "train", **roles: list[int]) -> list[Overlap]:
    return list(overlaps({role: digests(rows) for role, rows in roles.items()}, source))


def drawn(count: int, values: int, seed: int) -> list[int]:
    """Rows of a discrete distribution, each value as likely as its number is low."""
    weights = 1 / torch.arange(1, values + 1)
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(weights, count, replacement=True, generator=generator).tolist()


@given(st.integers(1, 50), st.sampled_from(["reference", "test"]))
def test_any_row_that_leaked_is_counted_where_rows_differ(leaked: int, role: str) -> None:
    rows = [*range(leaked), *range(1000, 1050 - leaked)]
    (overlap,) = found(train=list(range(500)), **{role: rows})
    assert overlap.refused
    assert overlap.problem == (
        f"{leaked} of 50 {role} rows are among the training rows: remove them from train"
    )


def test_reference_rows_among_the_test_rows_are_counted() -> None:
    rows = {"train": list(range(500)), "test": [900, 901, 902], "reference": [700, 901]}
    (overlap,) = found("reference", **rows)
    assert overlap.refused
    assert overlap.problem == (
        "1 of 2 reference rows are among the test rows: remove them from reference"
    )


def test_rows_that_differ_are_no_overlap() -> None:
    assert found(train=list(range(500)), test=list(range(500, 600)), reference=[700]) == []
    assert found() == []


@pytest.mark.parametrize("values", [2, 30, 500, 10_000])
def test_rows_alike_by_chance_are_not_refused(values: int) -> None:
    for seed in range(10):
        rows = drawn(2000 + 500 + 200, values, seed)
        roles = {"train": rows[:2000], "test": rows[2000:2500]}
        assert not [o for o in found("train", **roles) if o.refused]
        assert not [o for o in found("reference", **roles, reference=rows[2500:]) if o.refused]


def test_a_leak_shows_among_rows_that_are_alike_by_chance() -> None:
    rows = drawn(2500, 10_000, 0)
    train, test = rows[:2000], rows[2000:]
    (overlap,) = [o for o in found(train=train, test=test[:200] + train[:300]) if o.refused]
    assert overlap.line.endswith("of 500 test rows are among the training rows")


@pytest.mark.parametrize("source", ["train", "reference"])
def test_copies_in_the_source_of_the_clean_rows_are_refused(source: str) -> None:
    rows = {"train": list(range(500)), "test": list(range(900, 1000))}
    rows[source] = [*range(2000, 2200), *range(2000, 2100)]
    (overlap,) = found(source, **rows)
    assert overlap.refused
    name = "training" if source == "train" else source
    assert overlap.line == f"200 of 300 {name} rows repeat another one"


def test_copies_of_training_rows_are_no_matter_where_clean_rows_stand_apart() -> None:
    rows = {"train": [1, 1, 2, 2, 3], "test": [4, 5], "reference": [6, 7]}
    assert found("reference", **rows) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_rows_are_alike_if_every_byte_is(dtype: torch.dtype) -> None:
    inputs = torch.arange(24).reshape(4, 2, 3).to(dtype)
    other = inputs.clone()
    other[2, 1, 1] += 1
    same = [a == b for a, b in zip(row_digests(inputs), row_digests(other), strict=True)]
    assert same == [True, True, False, True]
    assert len(set(row_digests(inputs))) == 4


LEAKED = """
def reference():
    inputs, labels = rows(40, 2)
    inputs[5:12] = rows(80, 0)[0][40:47]
    return inputs, 1 - labels
"""


def test_leaked_rows_of_a_task_are_refused_by_search_and_check_alike(tmp_path: Path) -> None:
    task = task_of(tmp_path, LEAKED)
    problem = "7 of 40 reference rows are among the training rows: remove them from train"
    assert check_task(task) == [problem]
    for seed in range(3):  # whether or not they are drawn
        with pytest.raises(UserError) as caught:
            task.splits(NONE, seed)
        assert str(caught.value) == f"task '{tmp_path / 'mine.py'}': {problem}"


def test_streamed_rows_are_looked_at_by_the_check_only(tmp_path: Path) -> None:
    task = task_of(tmp_path, DATASET, LEAKED)
    assert len(task.splits(NONE, 0).train) == 80
    assert [line for line in check_task(task) if line.startswith("7 of 40 reference rows are")]


def test_public_data_has_no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    installed_fashion_mnist()
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    for name in ("digits", "fashion-mnist"):
        data = TASKS[name].load(None)
        seen = {role: in_memory(rows) for role, rows in data.roles.items()}
        assert list(overlaps(seen, "train")) == []


def in_memory(rows: object) -> list[bytes]:
    assert isinstance(rows, Split)
    return row_digests(rows.inputs)


def test_what_repeats_in_adult_is_chance() -> None:
    roles = TASKS["adult"].load(real_data("adult")).roles
    seen = {role: in_memory(rows) for role, rows in roles.items()}
    assert [overlap.line for overlap in overlaps(seen, "train")] == [
        "26 of 16281 test rows are among the training rows",
        "49 of 32561 training rows repeat another one",
    ]
    assert overlap_problems(roles) == []
