"""Decisions by other metrics: of one that is to be small the same as of its negative."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adiw_tune.decide import (
    decide,
    default_policy,
    finalists,
    hypervolume,
    hypervolume_curve,
    mark_front,
    pareto_front,
    parse_policy,
    race,
    worst_corner,
)
from adiw_tune.errors import UserError
from adiw_tune.metrics import ACCURACY, METRICS, Metric

from .tables import drawn, reruns, trials

RMSE = METRICS["rmse"]
LIFT = Metric("lift")  # more is better, and it has no ends: -rmse
POLICIES = ("knee", "fastest-within=0.5", "fastest-within=5%", "best-under=4")
ROWS = [("mmd", 3.0, 9.0), ("kl", 4.0, 2.0), ("mmd", 3.1, 4.0), ("kl", 9.0, 1.0), ("erm", 8.0, 6.0)]


def of_rmse(*rows: tuple[str, float, float]) -> pd.DataFrame:
    return trials(*rows).rename(columns={"accuracy": "rmse"})


def mirrored(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(lift=-table["rmse"]).drop(columns="rmse")


def without_words(decision: Any) -> dict[str, Any]:
    told = decision.as_dict()
    del told["reason"], told["verdict"], told["metric"]
    return told


def negated(told: dict[str, Any]) -> dict[str, Any]:
    """A decision by lift as it is by rmse."""
    for one in (told, *told["best_per_divergence"]):
        one["value"] = -one["value"]
        if one["interval"]:
            one["interval"] = [max(0.0, -end) for end in one["interval"][::-1]]
    return told


def test_the_front_of_an_error_is_below() -> None:
    front = pareto_front(of_rmse(*ROWS), RMSE)
    assert front["number"].tolist() == [3, 1, 2, 0]
    assert front["rmse"].tolist() == [9.0, 4.0, 3.1, 3.0]


@given(
    st.lists(
        st.tuples(st.sampled_from(["mmd", "kl", "erm"]), st.floats(0, 99), st.floats(1, 9)),
        min_size=1,
    ),
    st.sampled_from(POLICIES),
)
@example([("mmd", 2.2e-311, 1.0), ("mmd", 0.0, 2.0), ("mmd", 0.0039, 3.0)], "knee")
@settings(deadline=None, max_examples=50)
def test_trials_are_taken_as_by_the_negative(
    rows: list[tuple[str, float, float]], policy: str
) -> None:
    table = of_rmse(*rows)
    on_front = mark_front(table, RMSE)["on_front"]
    assert on_front.equals(mark_front(mirrored(table), LIFT)["on_front"])
    rule, other = parse_policy(policy, RMSE), parse_policy(policy, LIFT)
    if policy == "best-under=4" and table["work_s"].min() > 4:
        return
    assert finalists(table, rule) == finalists(mirrored(table), other)
    decision, again = decide(table, rule), decide(mirrored(table), other)
    assert without_words(decision) == negated(without_words(again))


@pytest.mark.parametrize("policy", POLICIES)
def test_so_are_races_and_answers_over_seeds(policy: str) -> None:
    table = of_rmse(("mmd", 3.0, 9.0), ("kl", 3.2, 2.0), ("erm", 6.0, 1.0))
    rng = np.random.default_rng(0)
    for _ in range(10):
        values = drawn([3.0, 3.2, 6.0], 5, rng, 0.2)
        ran = reruns(table, {f"t{i}": list(row) for i, row in enumerate(values)})
        ran = ran.rename(columns={"accuracy": "rmse"})
        arms = ["t0", "t1", "t2"]
        rule, other = parse_policy(policy, RMSE), parse_policy(policy, LIFT)
        assert race(ran, arms, rule) == race(mirrored(ran), arms, other)
        decision, again = decide(table, rule, ran), decide(mirrored(table), other, mirrored(ran))
        told = without_words(decision)
        assert told.pop("best_per_divergence")[0]["value"] > 0
        mirror = negated(without_words(again))
        del mirror["best_per_divergence"]
        assert told == {**mirror, "interval": pytest.approx(mirror["interval"], abs=0.02)}


def test_values_are_told_in_the_metrics_own_unit() -> None:
    decision = decide(of_rmse(*ROWS), parse_policy("fastest-within=1%", RMSE))
    assert (decision.metric, decision.value) == ("rmse", 3.0)
    assert [one["value"] for one in decision.best_per_divergence] == [3.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("policy", "number", "reason"),
    [
        ("fastest-within=1%", 0, "it is the best by rmse, and none within 1% of it is faster"),
        ("fastest-within=5%", 2, "it is the fastest within 5% of the best by rmse, 3.0000"),
        ("fastest-within=1.5", 1, "it is the fastest within 1.5 of the best by rmse, 3.0000"),
        ("best-under=3", 1, "it is the best by rmse that trains in at most 3 s of work"),
        ("knee", 1, "it is the knee of the front: 1 worse than the best by rmse, in 22% of its"),
    ],
)
def test_why_is_said_in_its_unit(policy: str, number: int, reason: str) -> None:
    decision = decide(of_rmse(*ROWS), parse_policy(policy, RMSE))
    assert decision.number == number
    assert decision.reason.startswith(reason)


def test_of_a_share_it_is_said_in_points() -> None:
    table = trials(("mmd", 0.9, 9.0), ("kl", 0.88, 1.0)).rename(columns={"accuracy": "auroc"})
    reason = decide(table, parse_policy("fastest-within=0.02", METRICS["auroc"])).reason
    assert reason == "it is the fastest within 2 points of the best by auroc, 0.9000"


def test_by_default_near_is_a_point_of_a_share_and_else_a_hundredth_of_the_best() -> None:
    assert default_policy(ACCURACY) == default_policy(METRICS["macro_f1"]) == "fastest-within=0.01"
    assert default_policy(RMSE) == default_policy(METRICS["r2"]) == "fastest-within=1%"
    assert parse_policy("fastest-within=1%", RMSE).margin(RMSE.score(50.0)) == pytest.approx(0.5)


def test_speed_settles_a_tie_within_a_hundredth_of_the_best() -> None:
    table = of_rmse(("mmd", 50.0, 9.0), ("kl", 50.3, 2.0), ("erm", 52.0, 1.0))
    values = {"t0": [50.0, 49.0, 51.0], "t1": [50.4, 50.1, 50.4], "t2": [51.0, 54.0, 51.0]}
    ran = reruns(table, values).rename(columns={"accuracy": "rmse"})
    decision = decide(table, parse_policy("best-under=100", RMSE), ran)
    assert decision.trial == "t1"  # within 0.5 of the best mean; erm, which is faster, is not
    assert decision.tie


def test_the_corner_is_the_worst_value_there_is_or_the_worst_that_finished() -> None:
    shares = trials(("mmd", 0.9, 9.0), ("kl", 0.5, 3.0))
    assert worst_corner(shares) == (0.0, 9.0)
    errors = of_rmse(*ROWS)
    assert worst_corner(errors, RMSE) == (9.0, 9.0)
    assert worst_corner(errors, Metric("rmse", False, 0, 10)) == (10, 9.0)
    # From 2 s on 5 below the corner, from 4 s on 5.9.
    assert hypervolume(errors, (9.0, 9.0), RMSE) == pytest.approx(2 * 5 + 5 * 5.9)
    curve = hypervolume_curve(errors, RMSE)
    assert curve.is_monotonic_increasing
    assert curve.iloc[-1] == hypervolume(errors, (9.0, 9.0), RMSE)


def test_intervals_end_where_the_metric_does() -> None:
    table = of_rmse(("mmd", 0.1, 9.0))
    ran = reruns(table, {"t0": [0.0, 0.0, 0.4]}).rename(columns={"accuracy": "rmse"})
    decision = decide(table, parse_policy("knee", RMSE), ran)
    assert decision.interval is not None
    assert decision.interval[0] == 0.0
    assert decision.interval[1] > decision.value == pytest.approx(0.4 / 3)


@pytest.mark.parametrize(
    ("policy", "metric", "told"),
    [
        ("fastest-within=2", ACCURACY, "takes an accuracy in \\[0, 1\\]; got 2"),
        ("fastest-within=2", METRICS["auroc"], "takes auroc in \\[0, 1\\]; got 2"),
        ("fastest-within=-1", RMSE, "takes a margin of at least 0; got -1"),
        ("fastest-within=inf", RMSE, "takes a margin of at least 0; got inf"),
        ("fastest-within=nan", RMSE, "takes a margin of at least 0; got nan"),
        ("fastest-within=101%", RMSE, "takes a share in \\[0%, 100%\\]; got 101%"),
        ("best-under=1%", RMSE, "policy 'best-under' needs a number"),
    ],
)
def test_what_is_no_margin_is_refused(policy: str, metric: Metric, told: str) -> None:
    with pytest.raises(UserError, match=told):
        parse_policy(policy, metric)
    assert parse_policy("fastest-within=2", RMSE).margin(-math.pi) == 2
