from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from adiw_tune.decide import decide, pareto_front, parse_policy
from adiw_tune.search.finalize import Reading
from adiw_tune.terminal import decision_text, front_table, reading_text, table_as
from tests.decide.tables import reruns, trials

SETTINGS = {
    "epochs": 5, "steps": 3, "step_size": 0.2665, "bandwidth": float("nan"),
    "warm_start": "decay", "representation": "loss",
}  # fmt: skip
TABLE = trials(("wasserstein", 0.91, 2.0), ("kl", 0.90, 1.0), ("mmd", 0.85, 3.0), ("kl", 0.8, 9.0))


def printed(retimed: float) -> str:
    front = pareto_front(TABLE.assign(retimed_s=[retimed, *[float("nan")] * 3], **SETTINGS))
    console = Console(file=io.StringIO(), width=160)
    console.print(front_table(front))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_table_of_a_front_shows_work_and_wall_seconds() -> None:
    lines = [line.split() for line in printed(float("nan")).splitlines()]
    assert lines[0] == ["trial", "divergence", "accuracy", "work", "s", "wall", "s", *SETTINGS]
    assert lines[1] == [
        "1",
        "kl",
        "0.9000",
        "1.00",
        "2.00",
        "5",
        "3",
        "0.267",
        "-",
        "decay",
        "loss",
    ]
    assert lines[2][:5] == ["0", "wasserstein", "0.9100", "2.00", "4.00"]


def test_retimed_seconds_have_a_column_once_there_are_any() -> None:
    header, kl, wasserstein = printed(1.8).splitlines()
    assert "retimed s" in header
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


def test_a_decision_from_single_runs_claims_no_more() -> None:
    text = decision_text(decide(TABLE, parse_policy("fastest-within=0.02")), "adiw-tune train")
    assert text.splitlines() == [
        "best divergence: kl",
        "  trial 1 (t1): accuracy 0.9000 on the select split, 1.00 s of work",
        "  why: it is the fastest within 2 points of the most accurate, 0.9100 "
        "(policy fastest-within=0.02)",
        "  each divergence's best:",
        "    wasserstein  0.9100  2.00 s of work  t0 of 1 trial",
        "    kl           0.9000  1.00 s of work  t1 of 2 trials",
        "    mmd          0.8500  3.00 s of work  t2 of 1 trial",
        "train it again: adiw-tune train",
    ]


def test_a_decision_from_reruns_shows_how_sure_it_is() -> None:
    ran = reruns(TABLE, {"t0": [0.90, 0.93, 0.91], "t1": [0.91, 0.92, 0.90]})
    table = TABLE.assign(retimed_s=[2.1, 1.1, 3.1, float("nan")])
    text = decision_text(decide(table, parse_policy("best-under=2.5"), ran), "train")
    lines = text.splitlines()
    assert lines[0] == "best divergence: kl"
    assert lines[1].startswith("  trial 1 (t1): accuracy 0.9100 [0.")
    assert lines[1].endswith(
        "] over 3 seeds on the select split, 1.00 s of work, 1.10 s when alone"
    )
    assert "a tie: the faster one taken" in lines[2]
    assert "P(best)" in lines[4]
    assert "3 seeds" in lines[4]
    assert lines[6].startswith("    mmd")
    assert "  3.00 s of work, 3.10 s when alone  t2 of 1 trial" in lines[6]
    assert "P(best)" not in lines[6]
    assert lines[4].index("t0 of") == lines[5].index("t1 of") == lines[6].index("t2 of")
    assert max(len(line) for line in lines) <= 160


@pytest.mark.parametrize("status", ["pruned", "finished"])
def test_a_provisional_pick_says_so(status: str) -> None:
    text = decision_text(decide(TABLE.assign(status=status), parse_policy("knee")), "train")
    assert ("(provisional)" in text) == (status == "pruned")


def test_what_was_suggested_is_shown_beside_the_settings() -> None:
    shown = {"lr_exponent": -2.5, "of_[mmd]": float("nan")}
    front = pareto_front(TABLE.assign(retimed_s=float("nan"), **SETTINGS, **shown))
    console = Console(file=io.StringIO(), width=160)
    console.print(front_table(front, ["lr_exponent", "of_[mmd]", "of a trial behind"]))
    lines = [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
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
