from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiw_tune.decide import ERROR, decide, finalists, parse_policy, race
from tests.decide.tables import drawn, reruns, trials

BEST = parse_policy("best-under=100")
THREE = trials(("mmd", 0.80, 3.0), ("kl", 0.80, 2.0), ("energy", 0.80, 1.0))
ARMS = ["t0", "t1", "t2"]


def near(mean: float, seeds: int = 3) -> list[float]:
    """Values about a mean that vary by a tenth of a point, another way for each mean."""
    rng = np.random.default_rng(int(1e6 * mean))
    return [mean + value for value in rng.normal(0, 0.001, seeds)]


def test_a_finalist_that_is_plainly_less_accurate_is_out_after_three_seeds() -> None:
    accuracy = {"t0": near(0.85), "t1": near(0.80), "t2": near(0.851)}
    assert race(reruns(THREE, {t: v[:2] for t, v in accuracy.items()}), ARMS, BEST) == ARMS
    assert race(reruns(THREE, accuracy), ARMS, BEST) == ["t0", "t2"]


def test_the_order_of_rows_and_of_finalists_does_not_matter() -> None:
    ran = reruns(THREE, {"t0": near(0.85), "t1": near(0.80), "t2": near(0.851)})
    shuffled = ran.sample(frac=1, random_state=0)
    assert race(shuffled, ARMS[::-1], BEST) == ["t2", "t0"]


def test_who_is_out_stays_out() -> None:
    accuracy = {"t0": near(0.85, 6), "t1": near(0.80), "t2": near(0.851, 6)}
    assert race(reruns(THREE, accuracy), ARMS, BEST) == ["t0", "t2"]
    accuracy["t1"] += [0.99, 0.99, 0.99]  # as if its later seeds had been run all the same
    assert race(reruns(THREE, accuracy), ARMS, BEST) == ["t0", "t2"]


def test_a_round_that_is_not_complete_is_not_looked_at() -> None:
    accuracy = {"t0": near(0.85), "t1": near(0.80), "t2": near(0.85)[:2]}
    assert race(reruns(THREE, accuracy), ARMS, BEST) == ARMS
    assert race(reruns(THREE, {}), ARMS, BEST) == ARMS


def test_a_finalist_whose_rerun_failed_is_out() -> None:
    accuracy = {"t0": [0.85], "t1": [float("nan")], "t2": [0.85]}
    assert race(reruns(THREE, accuracy), ARMS, BEST) == ["t0", "t2"]
    accuracy = {"t0": near(0.85), "t1": [0.99, 0.99, float("nan")], "t2": near(0.80)}
    decision = decide(THREE, BEST, reruns(THREE, accuracy))
    assert (decision.trial, decision.seeds, set(decision.p_chosen)) == ("t0", 3, {"mmd", "energy"})
    assert decision.reason.endswith("; kl failed when rerun")
    accuracy = {trial: [float("nan")] for trial in ARMS}
    alone = decide(THREE, BEST, reruns(THREE, accuracy))
    assert "of single runs: mmd, kl, energy failed when rerun" in alone.reason


@pytest.mark.parametrize(
    ("policy", "means", "left"),
    [
        # more than a point below: out; within a point and faster than what beats it: stays
        ("fastest-within=0.01", (0.85, 0.845, 0.80), ["t1"]),  # t1 is sure, and the fastest left
        ("fastest-within=0.01", (0.85, 0.843, 0.840), ["t0", "t1", "t2"]),  # is t2 within? unsure
        ("fastest-within=0.01", (0.843, 0.85, 0.840), ["t1", "t2"]),  # slower than t1 and beaten
        ("fastest-within=0.01", (0.85, 0.85, 0.85), ["t2"]),
        ("best-under=100", (0.85, 0.845, 0.80), ["t0"]),
        # of the knee only what is beaten by one that is no slower
        ("knee", (0.85, 0.845, 0.80), ["t0", "t1", "t2"]),
        ("knee", (0.80, 0.85, 0.84), ["t1", "t2"]),
    ],
)
def test_who_can_still_be_what_the_policy_takes(
    policy: str, means: tuple[float, ...], left: list[str]
) -> None:
    accuracy = {trial: near(mean, 4) for trial, mean in zip(ARMS, means, strict=True)}
    assert race(reruns(THREE, accuracy), ARMS, parse_policy(policy)) == left


def test_looking_after_every_round_seldom_drops_one_that_is_as_good() -> None:
    rng = np.random.default_rng(0)
    dropped = 0
    for _ in range(200):
        values = drawn([0.8, 0.8, 0.8], 8, rng, own=0.004)
        left = race(reruns(THREE, dict(zip(ARMS, values.tolist(), strict=True))), ARMS, BEST)
        dropped += "t0" not in left
    assert dropped <= 200 * ERROR


def test_a_winner_that_is_plain_is_no_tie() -> None:
    accuracy = {"t0": near(0.85, 5), "t1": near(0.83, 5), "t2": near(0.80)}
    decision = decide(THREE, BEST, reruns(THREE, accuracy))
    assert (decision.divergence, decision.tie, decision.tied) == ("mmd", False, [])
    assert decision.value == pytest.approx(np.mean(accuracy["t0"]))
    assert decision.interval is not None
    assert decision.interval[0] < decision.value < decision.interval[1]
    assert decision.seeds == 5
    assert decision.p_chosen == {"mmd": 1.0, "kl": 0.0, "energy": 0.0}
    assert decision.reason == (
        "over 5 paired seeds it is the most accurate that trains in at most 100 s of work"
    )
    assert [(row["divergence"], row["seeds"]) for row in decision.best_per_divergence] == [
        ("mmd", 5), ("kl", 5), ("energy", 3)
    ]  # fmt: skip


@pytest.mark.parametrize("policy", ["best-under=100", "fastest-within=0"])
def test_of_those_that_cannot_be_told_apart_the_fastest_is_taken(policy: str) -> None:
    # t0 is ahead by less than seeds vary; t2, the fastest, is plainly worse.
    accuracy = {
        "t0": [0.852, 0.860, 0.841, 0.850],
        "t1": [0.850, 0.856, 0.844, 0.848],
        "t2": [0.802, 0.810, 0.790, 0.801],
    }
    decision = decide(THREE, parse_policy(policy), reruns(THREE, accuracy))
    assert (decision.divergence, decision.tie, decision.tied) == ("kl", True, ["mmd"])
    assert decision.reason.startswith("a tie: over 4 paired seeds it cannot be told from ")
    assert decision.reason.endswith("; it is the fastest of these within 1 point of the best mean")
    assert 0 < decision.p_chosen["kl"] < decision.p_chosen["mmd"] < 1
    assert sum(decision.p_chosen.values()) == pytest.approx(1)


def test_a_baseline_that_varies_much_makes_no_tie_of_divergences_that_are_apart() -> None:
    """The finale of a search of digits with 40% pair noise: values of five seeds."""
    table = trials(("mmd", 0.95, 3.0), ("squared", 0.9, 2.0), ("clean-only", 0.9, 1.0))
    accuracy = {
        "t0": [0.956, 0.960, 0.964, 0.948, 0.956],
        "t1": [0.920, 0.920, 0.904, 0.908, 0.900],
        "t2": [0.810, 0.940, 0.870, 0.960, 0.780],
    }
    decision = decide(table, parse_policy("fastest-within=0.01"), reruns(table, accuracy))
    assert decision.divergence == "mmd"
    assert decision.tied == ["clean-only"]


def test_within_the_margin_the_faster_is_taken_though_it_is_plainly_less_accurate() -> None:
    accuracy = {"t0": near(0.86, 5), "t1": near(0.853, 5), "t2": near(0.83, 5)}
    decision = decide(THREE, parse_policy("fastest-within=0.01"), reruns(THREE, accuracy))
    assert (decision.divergence, decision.tie) == ("kl", False)
    assert "fastest within 1 point of the most accurate, 0.86" in decision.reason


def test_speed_settles_a_tie_only_where_the_means_are_about_equal() -> None:
    """Few and noisy seeds tell nothing apart, and are no licence to give three points away."""
    wide = {"t0": [0.95, 0.88, 0.97], "t1": [0.90, 0.91, 0.90], "t2": [0.90, 0.94, 0.90]}
    decision = decide(THREE, parse_policy("fastest-within=0.01"), reruns(THREE, wide))
    assert (decision.divergence, decision.tie) == ("mmd", True)
    assert decision.reason.startswith("over 3 paired seeds it is ahead by the mean, but cannot be")
    ahead = dict(zip(wide, [wide["t1"], wide["t2"], wide["t0"]], strict=True))
    decision = decide(THREE, parse_policy("fastest-within=0.01"), reruns(THREE, ahead))
    assert (decision.divergence, decision.tie) == ("energy", True)  # the fastest, as it happens
    assert decision.reason.startswith("over 3 paired seeds it is ahead by the mean, but cannot be")
    close = {"t0": [0.92, 0.90, 0.93], "t1": [0.90, 0.91, 0.90], "t2": [0.91, 0.92, 0.90]}
    assert decide(THREE, BEST, reruns(THREE, close)).divergence == "energy"


def test_faster_is_by_work_and_the_seconds_alone_stand_beside_it() -> None:
    accuracy = {trial: [0.85, 0.86, 0.84 + 0.001 * number] for number, trial in enumerate(ARMS)}
    retimed = THREE.assign(retimed_s=[1.0, 2.0, 3.0])
    decision = decide(retimed, BEST, reruns(THREE, accuracy))
    assert (decision.divergence, decision.work_s, decision.retimed_s) == ("energy", 1.0, 3.0)


def test_the_knee_weighs_accuracy_against_seconds_as_the_front_does() -> None:
    # Ends of the front: 0.70 in 1 s, 0.90 in 11 s; a second is worth two points.
    table = trials(("mmd", 0.90, 11.0), ("kl", 0.85, 3.0), ("energy", 0.70, 1.0))
    accuracy = {"t0": near(0.90, 4), "t1": near(0.80, 4), "t2": near(0.70, 4)}
    decision = decide(table, parse_policy("knee"), reruns(table, accuracy))
    assert (decision.divergence, decision.tie) == ("kl", False)  # 6 points above the line
    accuracy["t1"] = near(0.73, 4)  # a point below it: both ends stand higher
    decision = decide(table, parse_policy("knee"), reruns(table, accuracy))
    assert (decision.divergence, decision.tied) == ("energy", ["mmd"])


def test_reruns_that_do_not_answer_the_policy_leave_it_to_single_runs() -> None:
    table = trials(("mmd", 0.90, 9.0), ("kl", 0.85, 8.0), ("mmd", 0.80, 1.0), ("kl", 0.75, 2.0))
    ran = reruns(table, {"t0": near(0.9), "t1": near(0.8)})
    assert decide(table, parse_policy("best-under=10"), ran).seeds == 3
    other = decide(table, parse_policy("best-under=5"), ran)
    assert (other.trial, other.seeds, other.interval, other.p_chosen) == ("t2", 0, None, {})
    assert "of single runs: not every finalist of this policy was run over 3 seeds" in other.reason
    few = reruns(table, {"t0": [0.9, 0.9], "t1": [0.8, 0.8]})
    assert decide(table, parse_policy("best-under=10"), few).seeds == 0


def test_one_finalist_has_an_interval_and_nobody_to_race() -> None:
    table = trials(("mmd", 0.90, 9.0))
    ran = reruns(table, {"t0": [0.89, 0.88, 0.90]})
    assert race(ran, ["t0"], BEST) == ["t0"]
    decision = decide(table, BEST, ran)
    assert (decision.tie, decision.p_chosen) == (False, {})  # of an only one, nothing is chosen
    assert decision.reason == "over 3 paired seeds it is the only finalist"


accuracies = st.lists(st.floats(0.1, 0.9), min_size=3, max_size=5)


@given(
    st.lists(accuracies, min_size=3, max_size=3),
    st.sampled_from(["knee", "fastest-within=0.01", "best-under=100"]),
)
@settings(deadline=None, max_examples=40)
def test_an_answer_is_the_same_every_time_and_its_shares_sum_to_one(
    values: list[list[float]], policy: str
) -> None:
    rule = parse_policy(policy)
    ran = reruns(THREE, dict(zip(ARMS, values, strict=True)))
    first = decide(THREE, rule, ran)
    again = decide(THREE, rule, ran.sample(frac=1, random_state=1))
    assert first == again
    assert sum(first.p_chosen.values()) == pytest.approx(1)
    assert first.divergence not in first.tied
    assert first.tie == bool(first.tied)
    left = race(ran, ARMS, rule)
    assert left
    assert set(left) <= set(ARMS)


points = st.lists(
    st.tuples(st.sampled_from(["mmd", "kl", "erm"]), st.floats(0, 1), st.floats(0.01, 100)),
    min_size=1,
    max_size=8,
)


@given(points, st.sampled_from(["knee", "fastest-within=0.05", "best-under=50"]))
@settings(deadline=None, max_examples=40)
def test_finalists_are_one_of_each_divergence_and_the_single_runs_pick_among_them(
    rows: list[tuple[str, float, float]], policy: str
) -> None:
    table = trials(*rows)
    rule = parse_policy(policy)
    chosen = table[table["trial"].isin(finalists(table, rule))]
    able = {divergence for divergence, _, work in rows if work <= rule.under}
    assert sorted(chosen["divergence"]) == sorted(able)
    if able:
        assert decide(table, rule).trial in set(chosen["trial"])


def test_a_finalist_is_judged_against_the_best_of_all() -> None:
    table = trials(
        ("mmd", 0.900, 9.0), ("mmd", 0.893, 5.0), ("mmd", 0.885, 1.0),
        ("kl", 0.895, 8.0), ("kl", 0.886, 4.0), ("erm", 0.70, 3.0), ("erm", 0.65, 1.0),
        ("l2rw", 0.99, 1.0, "pruned"),
    )  # fmt: skip
    # kl's 0.886 is within a point of its own best, but not of the best; erm has none within
    assert finalists(table, parse_policy("fastest-within=0.01")) == ["t1", "t3", "t5"]
    assert finalists(table, parse_policy("best-under=4")) == ["t2", "t4", "t5"]
    assert finalists(table, parse_policy("best-under=2")) == ["t2", "t6"]
    assert finalists(table, parse_policy("best-under=0.5")) == []
    assert finalists(pd.DataFrame(table.iloc[-1:]), parse_policy("knee")) == []
