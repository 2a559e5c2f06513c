"""Where a task's files are: in a directory of the user's, or downloaded."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from adiw_tune.errors import UserError

_ENVIRONMENT = "ADIW_DATA_DIR"


def chosen_directory(data_dir: Path | None) -> Path | None:
    """``data_dir``, else $ADIW_DATA_DIR, else None.

    Raises:
        UserError: the variable names no directory.
    """
    env = os.environ.get(_ENVIRONMENT)
    if data_dir is not None or not env:
        return data_dir
    if not os.path.isdir(env):
        raise UserError(f"${_ENVIRONMENT} is '{env}', which is no directory: correct or unset it")
    return Path(env)


def find_folder(
    data_dir: Path | None,
    inside: Sequence[str],
    holds: Callable[[Path], bool],
    what: str,
    hint: str,
) -> Path | None:
    """The first of the user's directory and its folders ``inside`` that ``holds`` says yes to.

    A ``data_dir`` must hold the files. $ADIW_DATA_DIR, which is for every task, need not: then,
    or where neither is given, it is None, and the files may be elsewhere.

    Args:
        data_dir: the user's data directory; None for $ADIW_DATA_DIR.
        inside: names of folders in it to look in as well.
        holds: whether a folder has the files.
        what: the files, for the error.
        hint: what directory would be right, for the error.
    """
    chosen = chosen_directory(data_dir)
    if chosen is None:
        return None
    for folder in (chosen, *(chosen / name for name in inside)):
        if holds(folder):
            return folder
    if data_dir is None:
        return None
    others = " or ".join(f"{name}/" for name in inside)
    raise UserError(f"no {what} in data directory '{chosen}' (nor in its {others}): {hint}")


def not_here() -> str:
    """Words for a data set that no directory has: where it was looked for."""
    env = os.environ.get(_ENVIRONMENT)
    return f"is not in ${_ENVIRONMENT} ('{env}')" if env else "is not here"


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
            f"{what} {not_here()} and could not be downloaded ({why}): {instead}"
        ) from error
    return cache
