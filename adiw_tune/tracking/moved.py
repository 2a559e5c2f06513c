"""A database that was moved or copied: where its artifacts are is written in it, from the top."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adiw_tune.errors import UserError

EXPERIMENT = "adiw-tune"
_FOLDER = "mlartifacts"
_FOLDERS = (_FOLDER, "mlruns")  # beside a database, ours and MLflow's own
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def artifacts_beside(database: Path) -> str:
    """Return where the artifacts of searches in this database belong."""
    # MLflow's own default is relative to the working directory, so pages opened from another
    # directory would not find the files.
    return (database.parent / _FOLDER / EXPERIMENT).as_uri()


def follow_move(database: Path) -> None:
    """Have a database that was moved or copied name the artifacts that lie beside it now.

    Nothing is written where they lay before, nor to a database that is where it was.

    Raises:
        UserError: the artifacts were left behind.
    """
    before, here = _was_in(database), database.parent
    if before is None or before == here or _same(before, here):
        return
    if (before / _FOLDER).exists() and not (here / _FOLDER).exists():
        raise UserError(
            f"'{database}' was moved or copied without its artifacts: bring '{before / _FOLDER}' "
            f"to '{here}' as well"
        )
    with closing(sqlite3.connect(database, timeout=20)) as opened, opened:
        for table, column in _PLACES:
            for folder in _FOLDERS:
                _rename(opened, table, column, (before / folder).as_uri(), (here / folder).as_uri())
                _rename(opened, table, column, str(before / folder), str(here / folder))


def _was_in(database: Path) -> Path | None:
    """Where the database lay when it was made; None if no search is in it."""
    if not database.is_file():
        return None
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True)) as opened:
        try:
            query = "SELECT artifact_location FROM experiments WHERE name = ?"
            row = opened.execute(query, (EXPERIMENT,)).fetchone()
        except sqlite3.Error:  # no database of MLflow's
            return None
    parts = urlsplit(row[0] if row else "")
    path = Path(unquote(parts.path))
    ours = parts.scheme == "file" and path.parts[-2:] == (_FOLDER, EXPERIMENT)
    return path.parents[1] if ours else None


def _same(before: Path, here: Path) -> bool:
    return before.exists() and before.samefile(here)


def _rename(database: sqlite3.Connection, table: str, column: str, before: str, after: str) -> None:
    database.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (after, len(before) + 1, before, len(before) + 1, f"{before}/"),
    )
