from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from adiw_tune.errors import UserError
from adiw_tune.metrics import METRICS, Metric
from adiw_tune.search.courses import Course, read_courses
from adiw_tune.search.replay import RANDOM_SEARCH, replay, replay_table

TABLE = Path(__file__).parents[2] / "benchmarks" / "recorded" / "digits.jsonl"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return replay(read_courses(TABLE))


def medians(results: pd.DataFrame, policy: str) -> pd.Series:
    of_policy = results[results["policy"] == policy]
    assert len(of_policy) == 20
    return of_policy.drop(columns=["policy", "seed"]).median()


def test_cutting_keeps_95_percent_of_the_hypervolume_for_half_of_the_seconds(
    results: pd.DataFrame,
) -> None:
    ours = medians(results, "adiw-tune")
    assert ours["seconds"] <= 0.5
    assert ours["hypervolume"] >= 0.95
    assert ours["seconds_to_95"] <= 0.5
    assert ours["hypervolume"] > ours["random_hypervolume"]
    assert ours["hypervolume"] > medians(results, "ASHA on accuracy")["hypervolume"]


def test_random_search_spends_and_reaches_everything(results: pd.DataFrame) -> None:
    random = results[results["policy"] == RANDOM_SEARCH]
    for column in ("seconds", "hypervolume", "random_hypervolume"):
        assert random[column].to_numpy() == pytest.approx(1.0)
    assert random["seconds_to_95"].between(0, 1).all()
    assert random["seconds_to_95"].nunique() > 10, "each seed has an order of its own"


def test_a_replay_is_the_same_each_time(results: pd.DataFrame) -> None:
    few = replay(read_courses(TABLE), seeds=2)
    pd.testing.assert_frame_equal(few, results[results["seed"] < 2].reset_index(drop=True))


def test_its_table_tells_each_policy_in_a_line(results: pd.DataFrame) -> None:
    out = StringIO()
    never = results["seconds_to_95"].where(results["policy"] != "ASHA on accuracy", np.inf)
    Console(file=out, width=160).print(replay_table(results.assign(seconds_to_95=never)))
    lines = out.getvalue().splitlines()
    (ours,) = (line for line in lines if line.strip().startswith("adiw-tune"))
    seconds = sorted(results.loc[results["policy"] == "adiw-tune", "seconds"])
    assert f"{100 * seconds[10]:.1f}% (" in ours, "of 20 seeds"
    (asha,) = (line for line in lines if line.strip().startswith("ASHA on accuracy"))
    assert asha.strip().endswith("never (never to never)")


def course(trial: str, accuracy: list[float], seconds: float, divergence: str = "mmd") -> Course:
    work_s = tuple(seconds * epoch for epoch in range(1, len(accuracy) + 1))
    return Course(trial, divergence, tuple(accuracy), work_s)


def test_what_is_spent_and_reached_is_what_one_can_count_by_hand() -> None:
    # The front is all three, (0.5, 1), (0.7, 3) and (0.9, 6), and the reference (0.46, 6.5). The
    # first gives 0.04 * 5.5 of the hypervolume, the second adds 0.2 * 3.5, the third 0.2 * 0.5.
    courses = [
        course("a", [0.5], 1.0),
        course("b", [0.6, 0.7], 1.5),
        course("c", [0.1, 0.1, 0.9], 2.0),
    ]
    results = replay(courses, seeds=10, workers=1)
    whole = 0.04 * 5.5 + 0.2 * 3.5 + 0.2 * 0.5
    asha = results[results["policy"] == "ASHA on accuracy"]
    without_c = (0.04 * 5.5 + 0.2 * 3.5) / whole
    assert set(asha["hypervolume"].round(9)) == {round(without_c, 9), 1.0}
    cut = asha["hypervolume"] < 1
    assert asha.loc[cut, "seconds"].to_numpy() == pytest.approx((1 + 3 + 2) / 10)
    ours = results[results["policy"] == "adiw-tune"]
    assert ours["hypervolume"].to_numpy() == pytest.approx(1.0)


def test_a_loss_is_replayed_as_its_negative_would_be() -> None:
    courses = [
        course("a", [0.5], 1.0),
        course("b", [0.4, 0.3], 1.5),
        course("c", [0.9, 0.9, 0.1], 2.0),
    ]
    mirrored = [replace(one, values=tuple(-v for v in one.values)) for one in courses]
    results = replay(courses, seeds=10, workers=1, metric=METRICS["log_loss"])
    again = replay(mirrored, seeds=10, workers=1, metric=Metric("gain"))
    assert set(results["policy"]) == {"random search", "ASHA on log_loss", "adiw-tune"}
    numbers = ["seconds", "hypervolume", "random_hypervolume", "seconds_to_95"]
    assert results[numbers].equals(again[numbers])
    assert (results["seconds"] < 1).any()


def events() -> list[dict[str, Any]]:
    """Two search trials of two epochs each, one that failed, and a rerun."""
    config = {"divergence": "mmd", "epochs": 2}
    lines: list[dict[str, Any]] = [{"event": "session", "commit": "abc"}]
    for number, (trial, kind, status) in enumerate(
        [
            ("t0", "search", "finished"),
            ("t1", "search", "finished"),
            ("t2", "search", "failed"),
            ("t0-seed1", "seed", "finished"),
        ]
    ):
        lines.append({"event": "trial", "trial": trial, "kind": kind, "config": config})
        for epoch in (1, 2):
            reached = {"accuracy": 0.5 + number / 10, "work_s": epoch * (1.0 + number)}
            lines.append({"event": "epoch", "trial": trial, "epoch": epoch, **reached})
        lines.append({"event": "end", "trial": trial, "status": status})
    return lines


def written(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_finished_search_trials_of_any_search_are_read(tmp_path: Path) -> None:
    courses = read_courses(written(tmp_path, events()))
    assert courses == [
        Course("t0", "mmd", (0.5, 0.5), (1.0, 2.0)),
        Course("t1", "mmd", (0.6, 0.6), (2.0, 4.0)),
    ]
    assert len(replay(courses, seeds=3)) == 9


def test_a_search_that_cut_trials_is_refused_with_their_number(tmp_path: Path) -> None:
    lines = events()
    next(line for line in lines if line["event"] == "end")["status"] = "pruned"
    with pytest.raises(UserError, match=r"1 of the 3 trials in '.*' were cut"):
        read_courses(written(tmp_path, lines))


def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table '.*nowhere.jsonl'"):
        read_courses(tmp_path / "nowhere.jsonl")
    with pytest.raises(UserError, match=r"no search trial of '.*' has finished"):
        read_courses(written(tmp_path, events()[:2]))
    for line in ({"event": "trial", "trial": "t0"}, {"event": "end", "status": "finished"}):
        with pytest.raises(UserError, match=r"events.jsonl' is damaged: the line that ends at"):
            read_courses(written(tmp_path, [line]))
    for lines, lacks in ((events()[1:2], "without an epoch"), (events()[1:4], "divergence")):
        begun, *epochs = lines
        end = {"event": "end", "trial": "t0", "status": "finished"}
        config = {} if epochs else begun["config"]
        with pytest.raises(UserError, match=rf"events.jsonl' is damaged: .*{lacks}"):
            read_courses(written(tmp_path, [{**begun, "config": config}, *epochs, end]))


def test_trials_without_a_trade_off_are_refused() -> None:
    alike = [course("a", [0.5], 1.0), course("b", [0.5], 1.0), course("c", [0.4], 2.0)]
    with pytest.raises(UserError, match="no front to reach"):
        replay(alike)
