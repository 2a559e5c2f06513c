"""A search in which every trial fails comes to an orderly end."""

from __future__ import annotations

from pathlib import Path

from .helpers import Tracked, adiw_tune, assert_each_trial_ran_once, called, of_kind, read_events

SPACE = """
def space(trial):
    seed = trial.suggest_int("seed", 0, 1)
    return {"epochs": 1, "learning_rate": 1e30, "seed": seed}
"""


def test_it_ends_in_one_line_and_nothing_runs_on(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    ran = adiw_tune(
        tmp_path, "search", "space.py", "--name", "s", "--trials", "2", "--no-baselines"
    )
    events = read_events(tmp_path)
    assert_each_trial_ran_once(events)
    ends = of_kind(events, "end")
    assert [end["status"] for end in ends] == ["failed", "failed"]
    line = f"error: none of the 2 trials of 's' finished; the first: {ends[0]['reason']}"
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[-1] == line
    assert "TrainingDivergedError" in line

    tracked = Tracked(tmp_path)
    assert tracked.parent.info.status == "FAILED"
    assert {run.info.status for run in tracked.children.values()} == {"FAILED"}
    assert len(tracked.children) == 2

    again = adiw_tune(tmp_path, "resume", "s")
    assert (again.returncode, again.stdout, again.stderr) == (2, "", line + "\n")
    assert read_events(tmp_path) == events
    pick = called(tmp_path, "train", "--from", "s")
    assert (pick.returncode, pick.stderr) == (
        2, "error: no trial has finished, so there is nothing to pick from\n",
    )  # fmt: skip
