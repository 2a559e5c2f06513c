"""Python files of the user's own: a task, a divergence, a search space. They are code."""

import os
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adiw_tune.errors import UserError, in_one_line, told_as


def is_file(name: str) -> bool:
    """Whether ``name`` is meant as the path of a Python file."""
    return name.endswith(".py")


def run_file(path: Path, kind: str, holding: str) -> dict[str, Any]:
    """The names that the file defines once it has run, with the rights of whoever names it.

    Args:
        path: the file; it may import what lies beside it.
        kind: task, divergence or space, for errors.
        holding: what such a file defines, for errors.
    """
    if not os.path.isfile(path):
        raise UserError(f"no {kind} file '{path}': give a Python file with {holding}")
    does_not_run = f"{kind} file '{path}' does not run"
    with told_as(lambda error: f"{does_not_run}: {why(error, path)}"), importing_from_beside(path):
        return runpy.run_path(str(path))


@contextmanager
def importing_from_beside(path: Path) -> Iterator[None]:
    """Let the file import what lies beside it, as ``python path`` does."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)  # and nothing that the file itself has put there


def why(error: BaseException, path: Path) -> str:
    """The error in one line, with the last line of the file that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return in_one_line(error) + (f" (line {lines[-1]})" if lines else "")
