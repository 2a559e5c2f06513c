from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from adiw_tune.decide import decide, mark_front, pareto_front, parse_policy
from adiw_tune.metrics import ACCURACY, METRICS, Metric
from adiw_tune.search.finalize import Reading
from adiw_tune.terminal import (
    decision_text,
    front_as_data,
    front_table,
    meanings,
    reading_text,
    table_as,
)
from adiw_tune.terminal.tables import _OF_REFERENCE_ROWS, _OF_WEIGHTS_ALONE
from adiw_tune.tracking.outcome import with_pick
from adiw_tune.training.config import WeightConfig
from tests.decide.tables import reruns, trials

SETTINGS = {
    "epochs": 5, "steps": 3, "step_size": 0.2665, "bandwidth": float("nan"),
    "warm_start": "decay", "representation": "loss",
}  # fmt: skip
VARIED = ["representation", "steps", "step_size", "warm_start", "cap"]  # as a space suggests them
TABLE = trials(("wasserstein", 0.91, 2.0), ("kl", 0.90, 1.0), ("mmd", 0.85, 3.0), ("kl", 0.8, 9.0))


def shown(table: Table) -> list[str]:
    console = Console(file=io.StringIO(), width=160)
    console.print(table, soft_wrap=True)  # as the command line's
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def printed(retimed: float) -> list[str]:
    front = pareto_front(TABLE.assign(retimed_s=[retimed, *[float("nan")] * 3], **SETTINGS))
    return shown(front_table(front, VARIED))


def test_the_table_of_a_front_shows_work_and_wall_seconds() -> None:
    lines = [line.split() for line in printed(float("nan"))]
    head = ["trial", "divergence", "accuracy", "work", "s", "wall", "s", "epochs"]
    assert lines[0] == [*head, "steps", "step_size", "warm_start", "representation"]
    assert lines[1] == ["1", "kl", "0.9000", "1.00", "2.00", "5", "3", "0.267", "decay", "loss"]
    assert lines[2][:5] == ["0", "wasserstein", "0.9100", "2.00", "4.00"]


def test_seconds_timed_alone_have_a_column_and_a_meaning_once_there_are_any() -> None:
    header, kl, wasserstein, *meaning = printed(1.8)
    assert "timed alone s" in header
    assert "timed alone: seconds of a whole run with nothing beside it" in " ".join(meaning)
    assert "timed alone" not in printed(float("nan"))[-1]
    assert kl.split()[3:6] == ["1.00", "2.00", "-"]
    assert wasserstein.split()[3:6] == ["2.00", "4.00", "1.80"]


def test_a_table_as_data_carries_every_cost() -> None:
    front = pareto_front(TABLE.assign(**SETTINGS))
    first = json.loads(table_as(front, "json"))[0]
    assert (first["work_s"], first["wall_s"], first["retimed_s"], first["epochs"]) == (
        1,
        2,
        None,
        5,
    )
    assert {"work_s", "wall_s", "retimed_s", "epochs"} <= set(
        table_as(front, "csv").splitlines()[0].split(",")
    )


@pytest.mark.parametrize("name", ["accuracy", "metric", "value"])
def test_the_front_as_data_tells_which_trial_is_the_pick(name: str) -> None:
    front = pareto_front(TABLE).assign(pick=7, **SETTINGS).rename(columns={"accuracy": name})
    runs = {trial: SimpleNamespace(last=lambda _: {"auroc": 0.5}) for trial in front["trial"]}
    history: Any = SimpleNamespace(front=lambda: front, metric=Metric(name), runs=runs)
    first, second = json.loads(front_as_data(history, "json", "t0"))
    assert (first["pick"], second["pick"]) == (False, True)
    assert (second["metric"], second["value"], second["metrics"]) == (name, 0.91, {"auroc": 0.5})
    assert second["suggested pick"] == 7
    rows = list(csv.DictReader(io.StringIO(front_as_data(history, "csv", None))))
    assert [(row[name], row["pick"]) for row in rows] == [("0.9", "False"), ("0.91", "False")]


def test_a_decision_from_single_runs_claims_no_more() -> None:
    text = decision_text(decide(TABLE, parse_policy("fastest-within=0.02")))
    assert text.splitlines() == [
        "best divergence: kl",
        "  trial 1 (t1): accuracy 0.9000 on the select split, 1.00 s of work",
        "  why: it is the fastest within 2 points of the most accurate, 0.9100 "
        "(policy fastest-within=0.02)",
        "  the best of each divergence:",
        "    wasserstein  0.9100  2.00 s of work  t0, best of 1 trial",
        "    kl           0.9000  1.00 s of work  t1, best of 2 trials",
        "    mmd          0.8500  3.00 s of work  t2, best of 1 trial",
    ]


def test_a_decision_from_reruns_shows_how_sure_it_is() -> None:
    ran = reruns(TABLE, {"t0": [0.90, 0.93, 0.91], "t1": [0.91, 0.92, 0.90]})
    table = TABLE.assign(retimed_s=[2.1, 1.1, 3.1, float("nan")])
    text = decision_text(decide(table, parse_policy("best-under=2.5"), ran))
    lines = text.splitlines()
    assert lines[0] == "best divergence: kl"
    assert lines[1].startswith("  trial 1 (t1): accuracy 0.9100 [0.")
    assert lines[1].endswith(
        "] over 3 seeds on the select split, 1.00 s of work, timed alone 1.10 s"
    )
    assert "a tie: over " in lines[2]
    assert text.count("tie") == 1
    assert "P(chosen)" in lines[4]
    assert "3 seeds" in lines[4]
    assert lines[6].startswith("    mmd")
    assert "  3.00 s of work, timed alone 3.10 s  t2, best of 1 trial" in lines[6]
    assert "P(chosen)" not in lines[6]
    assert lines[4].index("t0, ") == lines[5].index("t1, ") == lines[6].index("t2, ")
    assert max(len(line) for line in lines) <= 160


WITH_POOLED = trials(("kl", 0.90, 2.0), ("pooled", 0.84, 1.0), ("near.py", 0.80, 3.0))
FASTEST = parse_policy("fastest-within=0.01")


@pytest.mark.parametrize(
    ("pooled", "verdict", "pick"),
    [
        (
            [0.840, 0.842, 0.838, 0.841],
            r"weighting gains 6\.1 points \[[56]\.\d, [67]\.\d\] over pooled "
            r"at 2\.0 times its work",
            "best divergence: kl",
        ),
        (
            [0.921, 0.923, 0.920, 0.921],
            r"weighting does not help here: train with pooled \(weighting gains "
            r"-2\.0 points \[-\d\.\d, -\d\.\d\] over pooled at 2\.0 times its work\)",
            "pick: pooled (plain training on the training and the reference rows)",
        ),
        (
            [0.85, 0.93, 0.80, 0.95],
            r"too close to tell whether weighting helps: kl gains 1\.9 points "
            r"\[-\d+\.\d, \d+\.\d\] over pooled at 2\.0 times its work",
            "best divergence: kl",
        ),
    ],
)
def test_the_answer_begins_with_what_weighting_gains(
    pooled: list[float], verdict: str, pick: str
) -> None:
    kl = [0.901, 0.902, 0.900, 0.902]
    ran = reruns(WITH_POOLED, {"t0": kl, "t1": pooled, "t2": [0.8, 0.81, 0.79, 0.8]})
    lines = decision_text(decide(WITH_POOLED, FASTEST, ran)).splitlines()
    assert re.fullmatch(verdict, lines[0])
    assert lines[1] == pick
    assert lines[4] == "  the best of each divergence and baseline:"
    assert {line.split()[0] for line in lines[5:]} == {"kl", "pooled", "near.py"}


def test_the_gain_of_single_runs_has_no_interval() -> None:
    first, second, *_ = decision_text(decide(WITH_POOLED, FASTEST)).splitlines()
    assert first == (
        "single runs do not tell whether weighting helps: kl gains 6.0 points over pooled at 2.0 "
        "times its work"
    )
    assert second == "best divergence: kl"


def test_the_gain_is_above_0_where_less_is_better_and_weighting_has_less() -> None:
    rmse = METRICS["rmse"]
    table = trials(("near.py", 2.0, 2.0), ("erm", 3.0, 1.0)).rename(columns={"accuracy": "rmse"})
    runs = {"t0": [2.0, 2.01, 1.99, 2.0], "t1": [3.0, 3.02, 2.98, 3.0]}
    ran = reruns(table, runs).rename(columns={"accuracy": "rmse"})
    decision = decide(table, parse_policy("fastest-within=1%", rmse), ran)
    first, second, third, *_ = decision_text(decision, rmse).splitlines()
    pattern = r"weighting gains 1 .*\[0\.9\d+, 1\.0\d+\] over erm at 2\.0 times its work"
    assert re.fullmatch(pattern, first)
    assert second == "best divergence: near.py"
    assert third.startswith("  trial 0 (t0): rmse 2.0000 [1.9")
    assert "policy: the rule by which rmse and work pick one trial" in meanings(decision, rmse)


def test_of_an_only_finalist_nothing_was_chosen() -> None:
    table = trials(("kl", 0.9, 2.0))
    decision = decide(table, FASTEST, reruns(table, {"t0": [0.9, 0.91, 0.92]}))
    text = decision_text(decision)
    assert "3 seeds" in text
    assert "P(chosen)" not in text + meanings(decision)


def test_words_are_explained_where_they_stand() -> None:
    table = TABLE.assign(retimed_s=[2.1, 1.1, 3.1, float("nan")])
    ran = reruns(TABLE, {"t0": [0.90, 0.93, 0.91], "t1": [0.91, 0.92, 0.90]})
    decision = decide(table, parse_policy("best-under=2.5"), ran)
    choice, seconds = meanings(decision).splitlines()
    assert choice.split(": ")[0] == "policy"
    assert "; P(chosen): share of resamples of the seeds in which the policy picks it" in choice
    assert "work: seconds of training" in seconds
    assert "timed alone: seconds of a whole run" in seconds
    assert meanings(decision, seconds=False) == choice  # a front's table has told of the seconds
    assert "P(chosen)" not in meanings(decide(TABLE, FASTEST))
    assert "timed alone" not in meanings(decide(TABLE, FASTEST))


def front_of(pick: str | None, means: dict[str, float], metric: Metric = ACCURACY) -> list[str]:
    table = trials(("erm", 0.9, 1.0), ("kl", 0.8, 2.0), ("mmd", 0.95, 3.0)).assign(**SETTINGS)
    rows = with_pick(mark_front(table, metric), pick)
    return shown(front_table(rows, VARIED, metric, pick, means))


def test_the_pick_is_marked_with_its_mean_beside_the_single_run() -> None:
    header, erm, mmd, marks, _ = front_of("t2", {"t2": 0.9234, "t1": 0.7})
    assert header.split()[:7] == ["trial", "divergence", "accuracy", "over", "seeds", "work", "s"]
    assert erm.split()[:5] == ["0", "erm", "0.9000", "-", "1.00"]
    assert mmd.split()[:6] == ["*", "2", "mmd", "0.9500", "0.9234", "3.00"]
    assert marks.rstrip() == (
        "*: the pick; over seeds: mean accuracy of the reruns over paired seeds; accuracy: of the "
        "single run"
    )


def test_the_pick_is_in_the_table_also_if_it_is_not_on_the_front() -> None:
    _, erm, kl, mmd, marks, _ = front_of("t1", {})
    assert [line.split()[:2] for line in (erm, kl, mmd)] == [["0", "erm"], ["*", "1"], ["2", "mmd"]]
    assert marks.rstrip() == "*: the pick, which is not on the front"


def test_before_anything_is_decided_no_row_is_marked() -> None:
    lines = front_of(None, {})
    assert "*" not in "".join(lines)
    assert "over seeds" not in lines[0]
    assert len(lines) == 4  # heading, two rows, what the words mean


def test_plain_training_has_no_settings_of_weights() -> None:
    _, erm, mmd, *_ = front_of(None, {})
    assert erm.split()[-5:] == ["5", "-", "-", "-", "-"]
    assert mmd.split()[-5:] == ["5", "3", "0.267", "decay", "loss"]


def test_settings_without_effect_are_left_empty() -> None:
    table = trials(("erm", 0.8, 1.0), ("pooled", 0.85, 2.0), ("kl", 0.9, 3.0), ("mmd", 0.95, 4.0))
    front = mark_front(table).assign(
        epochs=5, reference_weight=[0.0, 0.1, 0.3, 0.0], warmup_epochs=[1, 1, 0, 2],
        warm_start=["decay", "decay", "decay", "off"], decay=[0.5, 0.5, 0.25, 0.5],
        bandwidth=[1.0, 1.0, float("nan"), float("nan")],
    )  # fmt: skip
    varied = ["decay", "warmup_epochs", "bandwidth", "reference_weight", "warm_start"]
    header, *rows = [line.split() for line in shown(front_table(front, varied))[:5]]
    assert header[-4:] == ["warm_start", "reference_weight", "decay", "warmup_epochs"]
    assert [row[-4:] for row in rows] == [
        ["-", "-", "-", "-"], ["-", "0.1", "-", "-"], ["decay", "0.3", "0.25", "0"],
        ["off", "0", "-", "2"],
    ]  # fmt: skip


def test_what_a_baseline_does_without_is_all_that_is_about_weights() -> None:
    fields = {field.name for field in dataclasses.fields(WeightConfig)}
    assert {*_OF_WEIGHTS_ALONE, *_OF_REFERENCE_ROWS} == fields - {"method", "divergence"}


def test_settings_that_there_is_no_room_for_are_named_below() -> None:
    many = {f"setting_{number}": number for number in range(20)}
    front = pareto_front(TABLE.assign(epochs=5, reference_weight=0.3, **many))
    header, *_, last = shown(front_table(front, [*many, "reference_weight"]))
    names = header.split()[8:]
    assert len(header) <= 160 < len(header) + len("  setting_8")
    assert names[0] == "reference_weight"
    assert names[1:] == [*many][: len(names) - 1]
    rest = ", ".join([*many][len(names) - 1 :])
    assert last.rstrip() == f"also varied: {rest}; front --format csv has every setting"


@pytest.mark.parametrize("status", ["pruned", "finished"])
def test_a_provisional_pick_says_so(status: str) -> None:
    text = decision_text(decide(TABLE.assign(status=status), parse_policy("knee")))
    assert ("(provisional)" in text) == (status == "pruned")


def test_what_was_suggested_is_shown_beside_the_settings() -> None:
    suggested = {"lr_exponent": -2.5, "of_[mmd]": float("nan")}
    front = pareto_front(TABLE.assign(retimed_s=float("nan"), **SETTINGS, **suggested))
    table = front_table(front, ["representation", "lr_exponent", "of_[mmd]", "of a trial behind"])
    lines = [line.split() for line in shown(table)]
    assert lines[0][-2:] == ["representation", "lr_exponent"]
    assert lines[1][-2:] == ["loss", "-2.5"]


@pytest.mark.parametrize(
    ("interval", "left_out", "told"),
    [
        ((0.7, 0.9), 0, []),
        (
            (0.7, 0.9),
            368,
            ["368 of 1000 resamples of these rows have no value: the interval leaves them out"],
        ),
        (
            None,
            700,
            ["700 of 1000 resamples of these rows have no value: no interval"],
        ),
    ],
)
def test_a_reading_tells_which_resamples_its_interval_lacks(
    interval: tuple[float, float] | None, left_out: int, told: list[str]
) -> None:
    values = {"accuracy": 0.8}
    reading = Reading("kl", "t1", "accuracy", 0.8, interval, 1000, left_out, values, 40, 0.85, 1)
    first, *middle, last = reading_text(reading).splitlines()
    ends = " [0.7000, 0.9000]" if interval else ""
    assert first == f"test accuracy 0.8000{ends} on 40 rows: kl, trial t1"
    assert [line.strip() for line in middle] == told
    assert last == "  on the select split the search gave 0.8500"
