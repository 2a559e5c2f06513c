"""What follows from an answer that is too close to tell: the command for more seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.record.record import SearchRecord
from adiw_tune.search.programme import Begin
from adiw_tune.training import TrialConfig
from tests.search.made_up import Story, settings

from .helpers import called

SEEDS = 3
HINT = f"more seeds may tell: adiw-tune extend s --seeds {2 * SEEDS}"


def searched(folder: Path, ahead: float, seeds: int = SEEDS) -> SearchRecord:
    """A search that is over, in whose reruns mmd and erm differ by ``ahead`` and some luck.

    The other baselines are far behind.
    """
    (folder / "space.py").write_text("def space(trial):\n    return {}\n")
    made = settings(folder=folder, trials=4, seeds=seeds, baselines=True)
    record = SearchRecord.create(folder / "adiw-searches", made, folder / "space.py")
    story = Story(record.folder)
    behind = [({"method": name}, 0.5) for name in ("pooled", "clean-only")]
    for number, (arm, value) in enumerate(
        [({"divergence": "mmd"}, 0.8 + ahead), ({"method": "erm"}, 0.8), *behind]
    ):
        config = {**TrialConfig.defaults(), **arm, "epochs": 3}
        story.begins(Begin(f"t{number}", number, "search", None, config))
        story.ends(f"t{number}", accuracy=value)
        for seed in range(seeds):
            again = Begin(
                f"t{number}-seed{seed}", number, "seed", f"t{number}", {**config, "seed": seed}
            )
            story.begins(again)
            story.ends(again.trial, accuracy=value + 0.01 * (-1) ** (seed * number))
    record.finish({})
    return record


def long_ago(record: SearchRecord, seconds: float) -> None:
    """Let the search have begun so long before its first run."""
    first, second, *rest = record.log.path.read_text().splitlines(keepends=True)
    began = json.loads(first) | {"time": json.loads(second)["time"] - seconds}
    record.log.path.write_text("".join([json.dumps(began) + "\n", second, *rest]))


def change(record: SearchRecord, **settings: Any) -> None:
    path = record.folder / "search.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def hints(folder: Path, *options: str) -> list[str]:
    told = called(folder, "best", "s", *options).stdout.splitlines()
    return [line for line in told if " may tell: " in line]


def test_where_it_is_too_close_to_tell_the_next_step_is_told_once(tmp_path: Path) -> None:
    searched(tmp_path, ahead=0.02)
    told = called(tmp_path, "best", "s").stdout
    assert told.startswith("too close to tell whether weighting helps")
    assert told.endswith(f"\n{HINT}\ntrain it again: adiw-tune train --from s\n")
    assert told.count("--seeds") == 1
    data = called(tmp_path, "best", "s", "--format", "json").stdout
    assert json.loads(data)["worth_it"] == "undecided"
    assert "extend" not in data


@pytest.mark.parametrize("ahead", [0.2, -0.2])
def test_an_answer_needs_no_more_seeds(tmp_path: Path, ahead: float) -> None:
    searched(tmp_path, ahead)
    assert "too close" not in called(tmp_path, "best", "s").stdout
    assert hints(tmp_path) == []


def test_single_runs_of_which_none_was_rerun_are_another_matter(tmp_path: Path) -> None:
    searched(tmp_path, ahead=0.02, seeds=0)
    assert called(tmp_path, "best", "s").stdout.startswith("single runs do not tell")
    assert hints(tmp_path) == []


def test_a_spent_budget_has_to_be_raised_too(tmp_path: Path) -> None:
    record = searched(tmp_path, ahead=0.02)
    long_ago(record, 100)
    for budget, told in (("1h", HINT), ("90s", f"{HINT} --budget 180s")):
        change(record, budget=budget)
        assert hints(tmp_path) == [told]


def test_a_spent_budget_that_left_seeds_out_is_all_that_is_to_be_raised(tmp_path: Path) -> None:
    record = searched(tmp_path, ahead=0.02)
    long_ago(record, 100)
    change(record, budget="$1", price=60.0, seeds=10)
    told = ["a larger budget may tell: adiw-tune extend s --budget '$4'"]  # the finale keeps 30%
    assert hints(tmp_path) == told
    lines = record.log.path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if "t1-seed2" not in line]  # erm lacks its third
    record.log.path.write_text("".join(kept))
    assert hints(tmp_path) == told
    change(record, budget=None)
    assert hints(tmp_path) == []


def test_another_policy_has_other_finalists_whom_more_seeds_do_not_run(tmp_path: Path) -> None:
    searched(tmp_path, ahead=0.02)
    assert hints(tmp_path) == [HINT]
    assert hints(tmp_path, "--policy", "best-under=1000") == [HINT]  # the search's own
    assert hints(tmp_path, "--policy", "knee") == []


def test_a_search_that_is_not_over_has_its_seeds_to_come(tmp_path: Path) -> None:
    record = searched(tmp_path, ahead=0.02)
    assert hints(tmp_path) == [HINT]
    (record.folder / "decision.json").unlink()
    assert hints(tmp_path) == []


def test_an_answer_that_may_change_yet_is_told_so(tmp_path: Path) -> None:
    record = searched(tmp_path, ahead=0.2)
    assert called(tmp_path, "best", "s").stderr == ""
    (record.folder / "decision.json").unlink()
    assert called(tmp_path, "best", "s").stderr == (
        "warning: search 's' is not over, so this may change; go on by: adiw-tune resume s\n"
    )
