"""A user's own divergence, from a file."""

from pathlib import Path

from adiw_tune.divergences.base import Divergence
from adiw_tune.errors import UserError
from adiw_tune.user_file import run_file


def load_divergence(path: str) -> Divergence:
    """The object ``DIVERGENCE`` of the Python file ``path``, which is run."""
    names = run_file(Path(path), "divergence", "DIVERGENCE = YourDivergence()")
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
