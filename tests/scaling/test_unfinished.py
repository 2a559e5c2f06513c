"""Points of a curve that was killed, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from adiw_tune.errors import UserError
from adiw_tune.scaling.point import Failed
from adiw_tune.scaling.unfinished import Unfinished
from adiw_tune.scaling.worker import Measured

ASKED = {"dial": "steps", "points": [1, 5]}
POINT = Measured(1000.0, 2000.0, 1.0, 0.5, 0.001, 1.5, None, 0.9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a curve with one point measured, and one failed."""
    curve = Unfinished(tmp_path / "scale-steps.json", ASKED)
    curve.began("run")
    curve.add(1, POINT)
    curve.add(5, Failed("killed"))
    return tmp_path / "scale-steps.json"


def test_what_was_measured_is_gone_on_with_and_another_curve_is_left(path: Path) -> None:
    again = Unfinished(path, ASKED)
    assert (again.run_id, again.outcomes) == ("run", {1: POINT})
    other = Unfinished(path, {**ASKED, "points": [2]})
    assert (other.run_id, other.left_run_id, other.outcomes) == (None, "run", {})
    again.over()
    assert not path.exists()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"ratio": 1.5',
            '"ratio": "1.5"',
            "outcomes.1.ratio '1.5': input should be",
        ),
        ('"run_id": "run"', '"run_id": 7', "run_id 7: input should be a valid string"),
        ('"asked"', '"told"', "no 'asked'"),
        ('"1": {', '"one": {', "outcomes.one"),
        ("}", "", "invalid JSON"),
    ],
)
def test_damage_is_told_with_the_way_out(path: Path, old: str, new: str, told: str) -> None:
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError) as refused:
        Unfinished(path, ASKED)
    assert str(refused.value).startswith(f"'{path}' is damaged: ")
    assert told in str(refused.value)
    assert str(refused.value).endswith("; remove it, to measure all points anew")


def test_a_directory_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "scale-steps.json").mkdir()
    with pytest.raises(UserError, match=r"cannot read '.*scale-steps.json': it is no regular file"):
        Unfinished(tmp_path / "scale-steps.json", ASKED)
