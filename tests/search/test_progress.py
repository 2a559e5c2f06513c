"""What a search shows while it runs."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from adiw_tune.record.provenance import versions
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.progress import show_progress

from .made_up import SPACE, Story, details, settings


def test_a_node_of_other_versions_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    record = SearchRecord.create(tmp_path, settings(folder=tmp_path), tmp_path / "space.py")
    story, said = Story(record.folder), io.StringIO()
    unlike = {**versions(), "torch": "1.0", "ray": None}
    with show_progress(record, Console(file=said, width=1000)):
        for number, (host, theirs) in enumerate([("a", versions()), ("b", unlike), ("b", unlike)]):
            story.trial(number)
            ran_there = details("setup", trial=f"t{number}", host=host, versions=theirs)
            story.log.append("setup", **ran_there)
    (line,) = [line for line in said.getvalue().splitlines() if "node" in line]
    ours = versions()
    assert line == (
        f"warning: node b has torch 1.0 where this process has torch {ours['torch']}; "
        f"no ray where this process has ray {ours['ray']}"
    )
