"""``adiw-tune check-divergence``: all problems, or ok."""

from pathlib import Path

import pytest

from .helpers import adiw_tune, called

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_divergence.py"


@pytest.mark.parametrize("file", [str(EXAMPLE), "pearson"])
def test_divergence_without_problems_is_ok(tmp_path: Path, file: str) -> None:
    ran = called(tmp_path, "check-divergence", file)
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "ok\n")


def test_problems_are_told_a_line_each_with_exit_code_2(tmp_path: Path) -> None:
    wrong = EXAMPLE.read_text().replace("scaled @ moved, curvature", "-scaled @ moved, curvature")
    (tmp_path / "mine.py").write_text(wrong)
    ran = adiw_tune(tmp_path, "check-divergence", "mine.py")
    assert (ran.returncode, ran.stdout) == (2, "")
    lines = ran.stderr.splitlines()
    assert lines
    assert all(line.startswith("problem: on ") for line in lines)
    assert any("gradient" in line for line in lines)


def test_file_that_is_no_divergence_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    ran = called(tmp_path, "check-divergence", "mine.py")
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: divergence file 'mine.py' sets no DIVERGENCE")
    assert len(ran.stderr.splitlines()) == 1
