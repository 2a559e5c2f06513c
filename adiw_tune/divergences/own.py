"""A user's own divergence, from a file."""

import runpy
from pathlib import Path

from adiw_tune.divergences.base import Divergence
from adiw_tune.errors import UserError


def is_file(name: str) -> bool:
    """Whether ``name`` is meant as the path of a Python file."""
    return name.endswith(".py")


def load_divergence(path: str) -> Divergence:
    """The object ``DIVERGENCE`` of the Python file ``path``, which is run."""
    if not Path(path).is_file():
        raise UserError(f"no divergence file '{path}': give a Python file that sets DIVERGENCE")
    try:
        names = runpy.run_path(path)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"divergence file '{path}' does not run: {reason}") from error
    if "DIVERGENCE" not in names:
        raise UserError(
            f"divergence file '{path}' sets no DIVERGENCE: add DIVERGENCE = YourDivergence()"
        )
    divergence = names["DIVERGENCE"]
    if isinstance(divergence, type) or not callable(getattr(divergence, "prepare", None)):
        raise UserError(
            f"DIVERGENCE of '{path}' must be an object with a method prepare(source, target); "
            f"got {type(divergence).__name__}"
        )
    return divergence  # type: ignore[no-any-return]
