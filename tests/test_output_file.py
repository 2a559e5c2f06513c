"""Output files: what is there is not lost, and what is written is whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adiw_tune.errors import UserError
from adiw_tune.output_file import OutputFile, begins_with


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as told:
        OutputFile("--output", path).check(begins_with("rank,"), "table")
    return str(told.value)


def test_a_new_name_an_empty_file_and_its_like_are_right(tmp_path: Path) -> None:
    for content in (None, "", "rank,row\n1,2\n"):
        path = tmp_path / "rows.csv"
        if content is not None:
            path.write_text(content)
        OutputFile("--output", path).check(begins_with("rank,"), "table")
        assert (path.read_text() if path.exists() else None) == content


def test_what_would_be_lost_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("ran")
    assert refusal(path) == f"--output '{path}' exists and does not hold a table: name another file"
    assert refusal(tmp_path).endswith("is a directory: name a file")
    assert refusal(Path("/dev/null")).endswith("is not a regular file: name another file")
    with (tmp_path / "open.csv").open("w"):
        assert "has open: name another one" in refusal(tmp_path / "open.csv")
    missing = tmp_path / "no" / "x"
    assert refusal(missing) == f"cannot write --output '{missing}': No such file or directory"


def test_what_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("rank,old")

    def pieces() -> Iterator[str]:
        yield "rank,new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        OutputFile("--output", path).write(pieces())
    assert path.read_text() == "rank,old"
    assert [*tmp_path.iterdir()] == [path]


def test_of_a_link_the_file_is_written_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    OutputFile("--output", tmp_path / "link").write(["a", "b\n"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "ab\n"
