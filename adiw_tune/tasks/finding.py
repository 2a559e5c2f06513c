"""Where a task's files are: in a directory of the user's, or downloaded."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from adiw_tune.errors import UserError


def chosen_directory(data_dir: Path | None) -> Path | None:
    """``data_dir``, else $ADIW_DATA_DIR, else None."""
    env = os.environ.get("ADIW_DATA_DIR")
    return data_dir or (Path(env) if env else None)


def find_folder(
    chosen: Path, inside: Sequence[str], holds: Callable[[Path], bool], what: str, hint: str
) -> Path:
    """The first of ``chosen`` and its folders ``inside`` that ``holds`` says yes to.

    Args:
        chosen: the user's data directory.
        inside: names of folders in it to look in as well.
        holds: whether a folder has the files.
        what: the files, for the error.
        hint: what directory would be right, for the error.
    """
    for folder in (chosen, *(chosen / name for name in inside)):
        if holds(folder):
            return folder
    others = " or ".join(f"{name}/" for name in inside)
    raise UserError(f"no {what} in data directory '{chosen}' (nor in its {others}): {hint}")


def downloaded(what: str, fetch: Callable[[str], object], instead: str) -> Path:
    """The cache, ~/.cache/adiw-tune, after ``fetch`` has put files there.

    Args:
        what: the data set, for the error.
        fetch: downloads into the directory that it is given, unless all is there already.
        instead: what the user can do where there is no network, for the error.
    """
    cache = Path.home() / ".cache" / "adiw-tune"
    try:
        fetch(str(cache))
    except (OSError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{what} is not here and could not be downloaded ({why}): {instead}"
        ) from error
    return cache
