"""Reads the command lines that launchers hold, with the parsers of the programs that they call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray.scripts.scripts import start

import adiw_tune.cli  # noqa: F401 - its commands register
from adiw_tune.cli.app import command_line

JOBS = Path(__file__).parents[2] / "jobs"


def options_of_adiw_tune(words: list[str]) -> dict[str, Any]:
    """What ``adiw-tune WORDS`` would be given; it refuses what it does not know."""
    return dict(command_line().commands[words[0]].make_context(words[0], words[1:]).params)


def options_of_ray_start(words: list[str]) -> dict[str, Any]:
    """The same of ``ray start WORDS``."""
    return dict(start.make_context("start", list(words)).params)
