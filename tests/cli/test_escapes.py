"""What is printed: a terminal's orders in a name, and an output that takes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from adiw_tune.cli import main
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.programme import Begin
from adiw_tune.training import TrialConfig
from tests.search.made_up import Story, settings

from .helpers import COMMAND, called, environment

NAME = "=\x1b]0;title\x07\x1b[31m[bold]own.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record whose trials have a divergence of that name, and a space that asks for it."""
    folder = tmp_path_factory.mktemp("escapes")
    (folder / "space.py").write_text(f"def space(trial):\n    return {{'divergence': {NAME!r}}}\n")
    made = settings(name="s", policy="knee", folder=folder)
    record = SearchRecord.create(folder / "adiw-searches", made, folder / "space.py")
    story = Story(record.folder)
    config = {**TrialConfig.defaults(), "divergence": NAME, "epochs": 3}
    story.begins(Begin("t0", 0, "search", None, config))
    story.ends("t0")
    record.finish(None)
    return folder


@pytest.mark.parametrize(
    "command",
    ["front s", "front s --format csv", "front s --format json", "best s", "best s --format json",
     "plan space.py", "check-divergence ESCAPES", "check-task ESCAPES", "train --task ESCAPES",
     "front ESCAPES", "rows ESCAPES", "rows s --output ESCAPES", "front s --xESCAPES",
     "front s --format ESCAPES"],
)  # fmt: skip
def test_none_of_them_reaches_the_terminal(place: Path, command: str) -> None:
    ran = called(place, *(word.replace("ESCAPES", NAME) for word in command.split()))
    printed = ran.stdout + ran.stderr
    assert "own.py" in printed or "--x" in printed or "--format" in printed
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert len(ran.stderr.splitlines()) <= 1


def test_a_table_and_a_sentence_show_brackets_as_they_are(place: Path) -> None:
    for command in ("front", "best"):
        assert "[bold]own.py" in called(place, command, "s").stdout


def test_as_csv_the_cell_is_no_formula(place: Path) -> None:
    assert "'=[bold]own.py" in called(place, "front", "s", "--format", "csv").stdout


@pytest.mark.parametrize("command", ["front s", "front s --format csv", "best s", "--help"])
def test_a_full_disk_is_told_in_one_line(
    place: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("sys.argv", ["adiw-tune", *command.split()])
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 2
    told = "error: cannot write to standard output: No space left on device\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("output", "code"), [("| true", 1), (">&-", 0)])
def test_an_output_that_nobody_reads_is_not_worth_a_word(
    place: Path, output: str, code: int
) -> None:
    """One whose reader has gone, and one that is closed."""
    told = subprocess.run(
        ["bash", "-c", f"'{COMMAND}' front s --format json {output}; exit $PIPESTATUS"],
        cwd=place,
        env=environment(),
        text=True,
        capture_output=True,
    )
    assert (told.returncode, told.stdout, told.stderr) == (code, "", "")
