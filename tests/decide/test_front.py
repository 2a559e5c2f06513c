from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiw_tune.decide import hypervolume, hypervolume_curve, mark_front, pareto_front

STATUSES = ["finished", "failed", "pruned", "stopped", "running"]
COLUMNS = ["trial", "number", "divergence", "accuracy", "work_s", "status"]

# Few distinct values, so that ties and duplicates are common.
rows = st.lists(
    st.tuples(
        st.sampled_from([0.1, 0.2, 0.5, 0.9]),
        st.sampled_from([1.0, 2.0, 3.5, 8.0]),
        st.sampled_from(STATUSES),
    ),
    max_size=12,
)


def table(points: list[tuple[float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(
        [(f"t{i}", i, "mmd", *point) for i, point in enumerate(points)], columns=COLUMNS
    )


def on_front(points: list[tuple[float, float, str]], index: int) -> bool:
    """The definition: finished, and no finished one is as good in both and better in one."""
    accuracy, seconds, status = points[index]
    return status == "finished" and not any(
        other_status == "finished"
        and other_accuracy >= accuracy
        and other_seconds <= seconds
        and (other_accuracy > accuracy or other_seconds < seconds)
        for other_accuracy, other_seconds, other_status in points
    )


@given(rows)
@settings(deadline=None, max_examples=50)
def test_the_mark_is_the_definition_of_non_domination(
    points: list[tuple[float, float, str]],
) -> None:
    marked = mark_front(table(points))
    assert list(marked["on_front"]) == [on_front(points, i) for i in range(len(points))]
    assert list(marked["number"]) == list(range(len(points))), "the rows keep their order"


@given(rows)
@settings(deadline=None, max_examples=50)
def test_the_front_is_what_is_marked_and_rises_from_fastest_to_best(
    points: list[tuple[float, float, str]],
) -> None:
    front = pareto_front(table(points))
    assert set(front["number"]) == {i for i in range(len(points)) if on_front(points, i)}
    assert front["work_s"].is_monotonic_increasing
    assert front["accuracy"].is_monotonic_increasing
    assert list(front.index) == list(range(len(front)))


def test_equal_trials_stand_together() -> None:
    points = [(0.9, 2.0, "finished"), (0.9, 2.0, "finished"), (0.9, 3.0, "finished")]
    assert list(pareto_front(table(points))["number"]) == [0, 1]


@pytest.mark.parametrize("status", STATUSES[1:])
def test_a_trial_that_did_not_finish_never_competes(status: str) -> None:
    points = [(0.5, 5.0, "finished"), (1.0, 0.1, status)]
    assert list(pareto_front(table(points))["number"]) == [0]
    assert pareto_front(table(points[1:])).empty


def test_no_trials_make_an_empty_front() -> None:
    assert pareto_front(table([])).empty
    assert "on_front" in mark_front(table([]))


def test_the_callers_table_is_left_alone() -> None:
    given_table = table([(0.5, 5.0, "finished")])
    mark_front(given_table)
    assert list(given_table) == COLUMNS


@given(rows)
@settings(deadline=None, max_examples=50)
def test_the_hypervolume_is_the_area_that_is_dominated(
    points: list[tuple[float, float, str]],
) -> None:
    # Counted in cells between all values that occur, up to the reference.
    accuracies, works = [0.15, 0.2, 0.5, 0.9], [1.0, 2.0, 3.5, 6.0]
    area = 0.0
    for low, high in pairwise(accuracies):
        for fast, slow in pairwise(works):
            dominated = any(a >= high and w <= fast and s == "finished" for a, w, s in points)
            area += dominated * (high - low) * (slow - fast)
    assert hypervolume(table(points), (0.15, 6.0)) == pytest.approx(area)


@given(rows)
@settings(deadline=None, max_examples=50)
def test_the_curve_of_the_hypervolume_never_falls_and_ends_at_that_of_all(
    points: list[tuple[float, float, str]],
) -> None:
    curve = hypervolume_curve(table(points))
    finished = [(i, work) for i, (_, work, status) in enumerate(points) if status == "finished"]
    assert list(curve.index) == [f"t{i}" for i, _ in finished]
    assert curve.is_monotonic_increasing
    if finished:
        corner = (0.0, max(work for _, work in finished))
        assert curve.iloc[-1] == hypervolume(table(points), corner)
        # the first has only itself
        assert curve.iloc[0] == hypervolume(table(points).iloc[[finished[0][0]]], corner)
