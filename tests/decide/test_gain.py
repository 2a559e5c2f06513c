"""Whether weighting is worth it: what is gained, how sure that is, and who has to run on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiw_tune.arms import BASELINES
from adiw_tune.decide import Decision, contest, decide, parse_policy
from adiw_tune.decide.gain import Gain, _answered, _raced, verdict
from adiw_tune.decide.paired import MIN_SEEDS
from adiw_tune.metrics import METRICS
from tests.decide.tables import reruns, trials

POLICY = parse_policy("fastest-within=0.01")
TABLE = trials(("mmd", 0.80, 3.0), ("kl", 0.80, 2.0), ("erm", 0.80, 1.0), ("pooled", 0.80, 1.5))
NAMES = ["t0", "t1", "t2", "t3"]
ARMS = dict(zip(NAMES, TABLE["divergence"], strict=True))


def near(mean: float, seeds: int = 4, spread: float = 0.001) -> list[float]:
    rng = np.random.default_rng(int(1e6 * mean))
    return [mean + value for value in rng.normal(0, spread, seeds)]


def ran(*means: float, seeds: int = 4, spread: float = 0.001) -> dict[str, list[float]]:
    return {t: near(mean, seeds, spread) for t, mean in zip(NAMES, means, strict=True)}


def decided(values: dict[str, list[float]], policy: Any = POLICY) -> Decision:
    return decide(TABLE, policy, reruns(TABLE, values))


def test_weighting_that_is_better_is_worth_it_over_the_best_baseline() -> None:
    values = ran(0.85, 0.83, 0.70, 0.80)
    decision = decided(values)
    gain = np.mean(values["t0"]) - np.mean(values["t3"])
    assert decision.worth_it == "yes"
    assert (decision.gain_of, decision.gain_over) == ("mmd", "pooled")
    assert decision.gain == pytest.approx(gain)
    assert decision.gain_interval is not None
    low, high = decision.gain_interval
    assert 0.04 < low < gain < high < 0.06
    assert decision.gain_work_ratio == 2
    assert decision.baselines == ["erm", "pooled"]
    assert decision.verdict == (
        f"weighting gains {100 * gain:.1f} points [{100 * low:.1f}, {100 * high:.1f}] over pooled "
        "at 2.0 times its work"
    )


def test_the_verdict_names_the_weighting_that_gains_where_another_is_picked() -> None:
    decision = decided(ran(0.835, 0.83, 0.70, 0.80))
    assert (decision.divergence, decision.gain_of, decision.worth_it) == ("kl", "mmd", "yes")
    assert decision.verdict is not None
    assert decision.verdict.startswith("weighting by mmd gains ")
    assert decision.verdict.endswith("times its work; policy fastest-within=0.01 takes kl")


def test_weighting_that_the_policy_may_not_take_gains_nothing() -> None:
    decision = decided(ran(0.85, 0.83, 0.70, 0.80), parse_policy("best-under=2.5"))
    assert (decision.divergence, decision.gain_of, decision.worth_it) == ("kl", "kl", "yes")


def test_only_finalists_are_compared() -> None:
    """An extension may find a better trial; the one before it keeps its seeds, and gets no more."""
    table = trials(("mmd", 0.85, 3.0), ("pooled", 0.80, 1.5), ("pooled", 0.84, 1.5))
    values = {"t0": near(0.85), "t1": near(0.95, 3), "t2": near(0.80)}
    decision = decide(table, POLICY, reruns(table, values))
    assert decision.gain == pytest.approx(np.mean(values["t0"]) - np.mean(values["t2"]))
    assert (decision.worth_it, decision.not_compared) == ("yes", [])
    before = {name: values[name] for name in ("t0", "t1")}
    decision = decide(table, POLICY, reruns(table, before))
    assert (decision.worth_it, decision.gain_interval) == ("undecided", None)


def test_a_weighted_finalist_that_lacks_reruns_may_gain() -> None:
    values = ran(0.70, 0.71, 0.80, 0.75)
    decision = decided({name: values[name] for name in ("t0", "t2", "t3")})
    assert (decision.worth_it, decision.not_compared) == ("undecided", ["kl"])
    failed = decided(values | {"t1": [0.71, np.nan]})
    assert (failed.worth_it, failed.not_compared) == ("no", [])


def test_a_baseline_that_was_never_tried_may_be_the_best() -> None:
    for weighted, worth_it in ((0.85, "undecided"), (0.70, "no")):
        rows = reruns(TABLE, ran(weighted, weighted, 0.80, 0.80))
        decision = decide(TABLE, POLICY, rows, BASELINES)
        assert (decision.worth_it, decision.not_compared) == (worth_it, ["clean-only"])
    alone = TABLE[:2]
    rows = reruns(alone, {"t0": near(0.85), "t1": near(0.83)})
    decision = decide(alone, POLICY, rows, BASELINES)
    assert (decision.worth_it, decision.not_compared) == (None, list(BASELINES))
    decision = decide(TABLE, POLICY, None, BASELINES)
    assert (decision.worth_it, decision.not_compared) == ("undecided", ["clean-only"])


def test_weighting_that_gains_less_than_a_point_for_sure_does_not_help() -> None:
    decision = decided(ran(0.8002, 0.80, 0.785, 0.8))
    assert (decision.worth_it, decision.divergence) == ("no", "pooled")
    assert decision.verdict is not None
    assert decision.verdict.startswith("weighting does not help here: train with pooled (")


def test_weighting_that_is_worse_does_not_help() -> None:
    decision = decided(ran(0.70, 0.71, 0.80, 0.75))
    assert (decision.worth_it, decision.divergence) == ("no", "erm")
    assert decision.gain is not None
    assert decision.gain == pytest.approx(-0.09, abs=0.003)


def test_weighting_that_is_only_faster_is_told_so() -> None:
    table = TABLE.assign(work_s=[1.0, 1.1, 3.0, 3.0])
    decision = decide(table, POLICY, reruns(table, ran(0.801, 0.80, 0.80, 0.801)))
    assert (decision.worth_it, decision.divergence) == ("no", "mmd")
    assert decision.verdict is not None
    assert decision.verdict.startswith(
        "weighting does not help here: mmd is picked because it is faster (weighting gains "
    )


def test_a_small_gain_is_one_also_where_the_policy_takes_the_faster_baseline() -> None:
    decision = decided(ran(0.806, 0.80, 0.70, 0.80, spread=1e-4))
    assert (decision.worth_it, decision.divergence) == ("yes", "pooled")
    assert decision.verdict is not None
    assert decision.verdict.endswith("; policy fastest-within=0.01 takes pooled, which is faster")


def test_what_varies_more_than_it_gains_is_not_decided() -> None:
    decision = decided(ran(0.82, 0.81, 0.80, 0.81, spread=0.03))
    assert decision.worth_it == "undecided"
    assert decision.gain_interval is not None
    assert decision.gain_interval[0] < 0 < 0.01 < decision.gain_interval[1]
    assert decision.verdict is not None
    assert decision.verdict.startswith("too close to tell whether weighting helps: ")


@pytest.mark.parametrize("again", [[0.95, np.nan, 0.95, 0.95], [0.95, 0.95], []])
def test_a_baseline_that_lacks_reruns_may_be_the_best(again: list[float]) -> None:
    values = ran(0.85, 0.83, 0.70, 0.80)
    assert decided(values).not_compared == []
    decision = decided(values | {"t3": again})
    assert (decision.worth_it, decision.not_compared) == ("undecided", ["pooled"])
    assert decision.gain_over == "erm"
    assert decision.gain_interval is not None
    assert decision.gain_interval[0] > 0
    assert decision.verdict is not None
    assert decision.verdict.startswith(
        "whether weighting helps is not known, for lack of runs of pooled: mmd gains "
    )


def test_a_baseline_that_the_policy_cannot_take_needs_no_reruns() -> None:
    table = TABLE.assign(work_s=[2.4, 2.0, 9.0, 1.5])
    values = {t: v for t, v in ran(0.85, 0.83, 0.70, 0.80).items() if t != "t2"}
    decision = decide(table, parse_policy("best-under=2.5"), reruns(table, values))
    assert (decision.worth_it, decision.not_compared) == ("yes", [])


def test_a_no_that_ended_the_race_is_not_told_beside_a_gain_for_sure() -> None:
    late = [value + 0.1 * (seed >= 4) for seed, value in enumerate(near(0.80, 40))]
    values = {**ran(0.80, 0.80, 0.80, 0.80, seeds=40), "t0": late}
    scores = np.array([values[name] for name in NAMES])
    assert _raced(scores, np.arange(2), np.arange(2, 4), POLICY.metric)[0] == "no"
    decision = decided(values)
    assert decision.gain_interval is not None
    assert decision.gain_interval[0] > 0.01
    assert decision.worth_it == "undecided"


def test_a_weighting_that_is_picked_for_its_metric_is_not_told_as_the_faster_one() -> None:
    gain = Gain("t0", "t3", 0.004, [-0.001, 0.008], 2.0, "no")
    assert verdict(gain, ARMS, "t0", POLICY).startswith(
        "weighting does not help here: policy fastest-within=0.01 takes mmd (weighting gains "
    )


def test_a_metric_that_is_to_be_small_gains_by_what_it_falls() -> None:
    rmse = METRICS["rmse"]
    table = TABLE.rename(columns={"accuracy": "rmse"})
    values = reruns(TABLE, ran(0.60, 0.72, 0.90, 0.80)).rename(columns={"accuracy": "rmse"})
    decision = decide(table, parse_policy("fastest-within=1%", rmse), values)
    assert (decision.gain_of, decision.gain_over, decision.worth_it) == ("mmd", "pooled", "yes")
    assert decision.gain == pytest.approx(0.2, abs=0.003)
    assert decision.verdict is not None
    assert re.match(
        r"weighting gains 0\.\d+ of rmse \[0\.\d+, 0\.\d+\] over pooled at 2\.0 times",
        decision.verdict,
    )


@pytest.mark.parametrize(
    ("gain", "told"), [(-0.0004, "0.0 points"), (0.0612, "6.1 points"), (-0.02, "-2.0 points")]
)
def test_a_gain_is_told_in_points(gain: float, told: str) -> None:
    assert POLICY.metric.difference(gain) == told
    assert POLICY.metric.difference_interval([gain, 0.1]) == f"[{told.split()[0]}, 10.0]"


def test_single_runs_tell_the_gain_and_decide_nothing() -> None:
    table = TABLE.assign(accuracy=[0.8, 0.9, 0.6, 0.7])
    for ran_again in (None, reruns(table, {"t1": near(0.9), "t2": near(0.6)[:2]})):
        decision = decide(table, POLICY, ran_again)
        assert (decision.gain_of, decision.gain_over) == ("kl", "pooled")
        assert decision.gain == pytest.approx(0.2)
        assert (decision.gain_interval, decision.worth_it) == (None, "undecided")


@pytest.mark.parametrize("arms", [("mmd", "kl"), ("erm", "pooled")])
def test_with_one_side_alone_there_is_no_gain(arms: tuple[str, str]) -> None:
    table = trials(*((name, 0.8, 1.0) for name in arms))
    for ran_again in (None, reruns(table, {"t0": near(0.8), "t1": near(0.7)})):
        decision = decide(table, POLICY, ran_again)
        assert (decision.gain, decision.worth_it, decision.verdict) == (None, None, None)
    assert (
        contest(reruns(table, {}), NAMES[:2], dict(zip(NAMES, arms, strict=False)), POLICY.metric)
        == []
    )


def test_of_trials_that_the_policy_forbids_nothing_is_told() -> None:
    table = trials(("mmd", 0.95, 100.0), ("kl", 0.85, 1.5), ("erm", 0.90, 1.0))
    policy = parse_policy("best-under=2")
    values = {"t1": near(0.85), "t2": near(0.90)}
    decision = decide(table, policy, reruns(table, values))
    assert decision.divergence == "erm"
    assert decision.weighted_trial == "t1"
    alone = decide(table, policy)
    assert (alone.gain_of, alone.gain_work_ratio) == ("kl", 1.5)


def contested(values: dict[str, list[float]]) -> list[str]:
    return contest(reruns(TABLE, values), NAMES, ARMS, POLICY.metric)


def test_all_are_run_until_there_are_three_seeds() -> None:
    assert contested({}) == NAMES
    assert contested(ran(0.9, 0.8, 0.7, 0.6, seeds=2)) == NAMES


def test_who_is_beaten_on_its_side_runs_no_more() -> None:
    values = {**ran(0.81, 0.60, 0.60, 0.80, spread=0.002)}
    values["t3"] = [0.80, 0.83, 0.79, 0.82]  # about as good as the best weighting
    assert contested(values) == ["t0", "t3"]


@pytest.mark.parametrize("means", [(0.85, 0.83, 0.70, 0.80), (0.80, 0.70, 0.79, 0.80)])
def test_nobody_runs_on_once_it_is_decided(means: tuple[float, ...]) -> None:
    assert contested(ran(*means)) == []


def test_a_finalist_whose_rerun_failed_takes_no_part() -> None:
    values = {**ran(0.85, 0.83, 0.70, 0.80), "t0": [0.9, float("nan"), 0.9, 0.9]}
    assert decided(values).gain_of == "kl"
    values["t1"] = [float("nan")] * 4
    assert decided(values).gain_interval is None  # of single runs
    assert contested(values) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.02, 0.02))
def test_the_answer_is_what_the_interval_says(seed: int, planted: float) -> None:
    rng = np.random.default_rng(seed)
    luck = rng.normal(0, 0.01, 5)
    values = {
        trial: list(
            0.8 + (planted if trial in ("t0", "t1") else 0) + luck + rng.normal(0, 0.004, 5)
        )
        for trial in NAMES
    }
    decision = decided(values)
    assert decision.gain_interval is not None
    low, high = decision.gain_interval
    assert low <= (decision.gain or 0.0) <= high
    if decision.worth_it == "yes":
        assert low > 0
    elif decision.worth_it == "no":
        assert high < 0.01
    else:
        assert low <= 0 < high


@pytest.mark.parametrize(("spread", "most"), [(0.0035, 15), (0.01, 8)])
def test_weighting_that_gains_nothing_is_hardly_ever_called_worth_it(
    spread: float, most: int
) -> None:
    """Looking after each seed, as a search does. A small spread ends most races with no.

    With one trial a side all bounds are exact. 2.5% are promised.
    """
    searches, values = 1000, np.empty((2, 0))
    sides, wrong = (np.array([0]), np.array([1])), 0
    for seed in range(searches):
        rng = np.random.default_rng(seed)
        drawn = 0.8 + rng.normal(0, spread, (2, most))
        for seeds in range(MIN_SEEDS, most + 1):
            values = drawn[:, :seeds]
            if _raced(values, *sides, POLICY.metric)[0] != "undecided":
                break
        wrong += _answered(values, *sides, POLICY.metric)[2] == "yes"
    assert wrong <= 0.025 * searches + 3 * (0.025 * searches) ** 0.5
