from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiw_tune.arms import arm
from adiw_tune.decide import decide, parse_policy
from adiw_tune.errors import UserError
from tests.decide.tables import trials

# Steep, then flat: the knee is number 1. Number 4 is dominated.
CURVE = trials(
    ("kl", 0.50, 10.0), ("mmd", 0.80, 12.0), ("squared", 0.85, 20.0), ("mmd", 0.86, 50.0),
    ("wasserstein", 0.84, 45.0),
)  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "number"),
    [
        ("knee", 1),
        ("fastest-within=0", 3),
        ("fastest-within=0.01", 2),
        ("fastest-within=0.06", 1),
        ("fastest-within=1", 0),
        ("best-under=10", 0),
        ("best-under=19.99", 1),
        ("best-under=20", 2),
        ("best-under=1e9", 3),
    ],
)
def test_each_policy_picks_its_point(policy: str, number: int) -> None:
    decision = decide(CURVE, parse_policy(policy))
    assert decision.number == number
    assert decision.trial == f"t{number}"
    assert decision.rule == policy
    assert decision.divergence == CURVE["divergence"][number]
    assert decision.value == CURVE["accuracy"][number]
    assert decision.work_s == CURVE["work_s"][number]


points = st.lists(
    st.tuples(st.sampled_from(["mmd", "kl"]), st.floats(0, 1), st.floats(0.01, 100)), min_size=1
)


@given(points, st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_fastest_within_is_what_it_says(
    rows: list[tuple[str, float, float]], margin: float
) -> None:
    decision = decide(trials(*rows), parse_policy(f"fastest-within={margin}"))
    best = max(accuracy for _, accuracy, _ in rows)
    near = [seconds for _, accuracy, seconds in rows if accuracy >= best - margin - 1e-12]
    assert decision.work_s == min(near)
    assert decision.value >= best - margin - 1e-12


@given(points, st.floats(0.01, 100))
@settings(deadline=None, max_examples=50)
def test_best_under_is_what_it_says(rows: list[tuple[str, float, float]], budget: float) -> None:
    within = [accuracy for _, accuracy, seconds in rows if seconds <= budget]
    if not within:
        with pytest.raises(UserError, match="no finished trial trains in"):
            decide(trials(*rows), parse_policy(f"best-under={budget}"))
        return
    decision = decide(trials(*rows), parse_policy(f"best-under={budget}"))
    assert decision.value == max(within)
    assert decision.work_s <= budget


@given(points)
@settings(deadline=None, max_examples=50)
def test_the_knee_is_the_point_furthest_above_the_line_between_the_ends(
    rows: list[tuple[str, float, float]],
) -> None:
    decision = decide(trials(*rows), parse_policy("knee"))
    best, fastest = (decide(trials(*rows), parse_policy(p)) for p in ("fastest-within=0", "fastest-within=1"))  # noqa: E501  # fmt: skip
    rise = best.value - fastest.value
    run = best.work_s - fastest.work_s

    def height(accuracy: float, seconds: float) -> float:
        if not rise or not run:
            return 0.0
        return (accuracy - fastest.value) / rise - (seconds - fastest.work_s) / run

    front = [
        (a, s)
        for _, a, s in rows
        if not any(a2 >= a and s2 <= s and (a2 > a or s2 < s) for _, a2, s2 in rows)
    ]
    assert height(decision.value, decision.work_s) == pytest.approx(
        max(height(a, s) for a, s in front), abs=1e-9
    )


def test_a_tie_for_the_knee_goes_to_the_more_accurate() -> None:
    straight = trials(("mmd", 0.2, 1.0), ("kl", 0.4, 2.0), ("mmd", 0.6, 3.0))
    assert decide(straight, parse_policy("knee")).number == 2


def test_of_equal_trials_the_first_is_fastest_within() -> None:
    twins = trials(("mmd", 0.9, 5.0), ("kl", 0.9, 5.0))
    assert decide(twins, parse_policy("fastest-within=0.01")).number == 0


@pytest.mark.parametrize("policy", ["knee", "fastest-within=0.01", "best-under=20"])
def test_a_front_of_one_point_is_the_pick(policy: str) -> None:
    lone = trials(("kl", 0.7, 3.0), ("mmd", 0.6, 4.0))
    decision = decide(lone, parse_policy(policy))
    assert decision.number == 0
    assert decision.reason
    assert "nan" not in decision.reason.lower()


def test_the_reason_of_the_knee_compares_with_an_end() -> None:
    assert (
        "6.0 points below the most accurate, in 24%" in decide(CURVE, parse_policy("knee")).reason
    )
    slow = trials(("kl", 0.5, 10.0), ("mmd", 0.9, 20.0))
    assert (
        "40.0 points above the fastest, for 2.0 times its work"
        in decide(slow, parse_policy("knee")).reason
    )


def test_every_divergence_that_finished_is_named_with_its_best_first() -> None:
    decision = decide(
        trials(
            ("mmd", 0.80, 9.0), ("mmd", 0.80, 7.0), ("kl", 0.85, 30.0), ("erm", 0.60, 2.0),
            ("squared", 0.99, 1.0, "failed"), ("kl", 0.99, 1.0, "stopped"),
        ),
        parse_policy("knee"),
    )  # fmt: skip
    shown = ("divergence", "trial", "value", "work_s", "trials")
    assert [tuple(row[name] for name in shown) for row in decision.best_per_divergence] == [
        ("kl", "t2", 0.85, 30.0, 1),
        ("mmd", "t1", 0.80, 7.0, 2),
        ("erm", "t3", 0.60, 2.0, 1),
    ]
    unseen = {"interval": None, "retimed_s": None, "seeds": 0, "p_chosen": None}
    assert all(unseen.items() <= row.items() for row in decision.best_per_divergence)
    assert (decision.seeds, decision.interval, decision.p_chosen) == (0, None, {})
    assert not decision.tie
    assert not decision.provisional
    assert json.loads(json.dumps(decision.as_dict())) == decision.as_dict()


def test_a_baseline_is_compared_by_its_method() -> None:
    assert arm({"method": "erm", "divergence": "mmd"}) == "erm"
    assert arm({"method": "diw", "divergence": "mmd"}) == "diw"
    assert arm({"method": "adiw", "divergence": "kl"}) == "kl"
    assert arm({"divergence": "kl"}) == "kl"


def test_nothing_finished_means_nothing_to_pick() -> None:
    with pytest.raises(UserError, match="no trial has finished"):
        decide(trials(("mmd", 0.8, 9.0, "failed")), parse_policy("knee"))


@pytest.mark.parametrize("status", ["pruned", "stopped"])
def test_where_none_finished_the_cut_ones_are_picked_from_as_they_stood(status: str) -> None:
    cut = trials(
        ("mmd", 0.80, 9.0, status), ("kl", 0.85, 3.0, status), ("erm", 0.9, 1.0, "failed"),
        ("squared", float("nan"), 1.0, status),
    )  # fmt: skip
    decision = decide(cut, parse_policy("knee"))
    assert (decision.number, decision.provisional) == (1, True)
    assert "none ran its full course" in decision.reason
    assert {row["divergence"] for row in decision.best_per_divergence} == {"mmd", "kl"}
    one = decide(trials(("mmd", 0.1, 9.0), ("kl", 0.85, 3.0, status)), parse_policy("knee"))
    assert (one.number, one.provisional) == (0, False)


@pytest.mark.parametrize(
    "text",
    [
        "", "fastest", "Knee", "knee=1", "best", "fastest-within", "fastest-within=",
        "fastest-within=x", "fastest-within=-0.1", "fastest-within=1.1", "fastest-within=nan",
        "best-under", "best-under=", "best-under=soon", "best-under=0", "best-under=-3",
        "best-under=nan",
    ],
)  # fmt: skip
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_policy(text)
    assert "\n" not in str(caught.value)
    assert text.partition("=")[0] in str(caught.value)
