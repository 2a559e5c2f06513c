"""The schema of an MLflow database: whether it is the one that this MLflow writes, and whole."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from adiw_tune.errors import UserError

_PRIMARY = 0xFF  # the part of SQLite's result codes that names the kind of error


def check_schema(uri: str, path: Path) -> None:
    """Raise UserError, with the remedy, if the installed MLflow cannot write to a database.

    MLflow itself calls a newer schema out of date as well, and some older ones it would migrate as
    it opens them, without a backup.

    Args:
        uri: of the database.
        path: of its file, which has tables.
    """
    found = _revision(path)
    if found is None:
        return
    newest, known = _revisions()
    if found == newest:
        return
    this = f"MLflow {version('mlflow')}"
    if found in known:
        raise UserError(
            f"tracking URI {uri}: its tables are of an older MLflow than this {this}: keep a copy, "
            f"then run: mlflow db upgrade {shlex.quote(uri)}"
        )
    raise UserError(
        f"tracking URI {uri}: its tables are of a newer MLflow than this {this}, or of another "
        "program: install the newer one by: pip install --upgrade mlflow, or name another file"
    )


def check_tables(uri: str, path: Path) -> None:
    """Raise UserError, with the remedy, if a database has only part of MLflow's tables.

    MLflow itself makes a missing table as its first version had it or, without alembic_version,
    starts over. Each later call then retries for minutes, since such tables cannot hold its rows.

    Args:
        uri: of the database.
        path: of its file, which :func:`check_schema` has passed.
    """
    found = _columns(path)
    if not found:
        return
    import mlflow.store.db.utils  # noqa: F401, which registers all of MLflow's tables
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

    tables = {name: set(table.columns.keys()) for name, table in Base.metadata.tables.items()}
    first = {name: set(table.columns.keys()) for name, table in InitialBase.metadata.tables.items()}
    if _revision(path) is not None:
        missing = [
            name if name not in found else f"{name}.{min(columns - found[name])}"
            for name, columns in tables.items()
            if columns - found.get(name, set())
        ]
    # Tables as MLflow first makes them are no damage: it was killed there, and goes on by itself.
    elif any(found[name] != first.get(name) for name in tables if name in found):
        missing = ["alembic_version"]
    else:
        return
    if missing:
        raise UserError(
            f"tracking URI {uri}: {path} lacks '{missing[0]}' of MLflow's tables: replace it "
            "with an intact copy, or move it away, and MLflow makes a new one"
        )


def holds_mlflow(path: Path) -> bool:
    """Tell whether a file is a database in which MLflow has made its tables."""
    return path.is_file() and _revision(path) is not None


def query_sqlite(path: Path, statement: str) -> list[tuple[str, ...]]:
    """Return the rows that a statement finds in an SQLite database.

    Args:
        path: of the file, which exists.
        statement: of SQL, one that only reads.

    Raises:
        UserError: the file is no database, or another process has locked it for 5 s.
    """
    # For writing: of a transaction in which its writer was killed SQLite keeps a journal, which
    # whoever opens the file next must roll back.
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=5)) as database:
            return database.execute(statement).fetchall()
    except sqlite3.Error as error:
        if error.sqlite_errorcode & _PRIMARY in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            told = "is locked by another process; try again when that has ended"
        else:
            told = f"is not a usable SQLite database ({error}); name another file"
        raise UserError(f"tracking database {path} {told}") from None


def _revision(path: Path) -> str | None:
    if "version_num" not in _columns(path).get("alembic_version", ()):
        return None
    found = query_sqlite(path, "SELECT version_num FROM alembic_version")
    return str(found[0][0]) if found else None


def _columns(path: Path) -> dict[str, set[str]]:
    """Table -> its columns."""
    columns: dict[str, set[str]] = {}
    query = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c"
    for table, column in query_sqlite(path, f"{query} WHERE t.type = 'table'"):
        columns.setdefault(table, set()).add(column)
    return columns


def _revisions() -> tuple[str | None, set[str]]:
    """The newest revision of the installed MLflow, and all that it knows."""
    from alembic.script import ScriptDirectory

    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    scripts = ScriptDirectory(str(package / "store" / "db_migrations"))
    known = {script.revision for script in scripts.walk_revisions()}
    return scripts.get_current_head(), known
