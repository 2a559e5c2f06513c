"""The adiw-tune commands that launchers tell their reader to give are ones that exist."""

from __future__ import annotations

import re
import shlex

import pytest

from .commands import JOBS, options_of_adiw_tune

COMMAND = re.compile(r"^(?:#   )?(adiw-tune (?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
TOLD = [
    (path.name, re.sub(r"\\\n#?", "", found))
    for path in sorted(JOBS.iterdir())
    for found in COMMAND.findall(path.read_text())
]


def test_they_are_found() -> None:
    assert {name for name, _ in TOLD} == {"aws.yaml", "two-machines.md"}


@pytest.mark.parametrize(("name", "line"), TOLD)
def test_each_is_one_that_exists(name: str, line: str) -> None:
    asked = options_of_adiw_tune(shlex.split(line)[1:])
    assert asked["address"] in ("auto", "http://127.0.0.1:8265")
