"""A database whose tables are of another MLflow, and what is told to do about it."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

from adiw_tune.errors import UserError
from adiw_tune.tracking.preflight import check_recordable

from .helpers import client
from .test_deleted import mlflow


def refusal(uri: str) -> str:
    with pytest.raises(UserError) as caught:
        check_recordable(uri)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_older_one_is_migrated_by_the_command_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "an older" / "mlflow.db"
    path.parent.mkdir()
    older = f"sqlite:///{path}"
    config = _get_alembic_config(older)
    script = ScriptDirectory.from_config(config)
    engine = sqlalchemy.create_engine(older)
    Base.metadata.create_all(engine)
    engine.dispose()
    command.upgrade(config, list(script.walk_revisions())[12].revision)
    before = path.read_bytes()
    told = refusal(older)
    assert path.read_bytes() == before  # MLflow itself would have migrated some, without a backup
    assert "its tables are of an older MLflow" in told
    words = shlex.split(told.partition("run: ")[2])
    assert words[0] == "mlflow"
    mlflow(*words[1:])
    check_recordable(older)
    assert client(older).get_experiment_by_name("adiw-tune") is None


def test_a_newer_one_wants_a_newer_mlflow(uri: str) -> None:
    path = uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
        database.execute("CREATE TABLE of_a_later_version (x)")
    told = refusal(uri)
    assert "its tables are of a newer MLflow" in told
    assert "pip install --upgrade mlflow" in told
    assert "upgrade sqlite" not in told  # which would fail


def test_another_programs_tables_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    check_recordable(f"sqlite:///{path}")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "lacking"),
    [
        ("DROP TABLE metrics", "metrics"),
        ("DROP TABLE experiments", "experiments"),
        ("DROP TABLE registered_models", "registered_models"),
        (
            "ALTER TABLE experiments RENAME COLUMN lifecycle_stage TO stage",
            "experiments.lifecycle_",
        ),
        ("DROP TABLE alembic_version", "alembic_version"),
        ("DELETE FROM alembic_version", "alembic_version"),
        ("ALTER TABLE alembic_version RENAME COLUMN version_num TO number", "alembic_version"),
    ],
)
def test_a_database_that_lacks_a_table_is_told_in_a_line_and_stays_as_it_is(
    uri: str, damage: str, lacking: str
) -> None:
    path = Path(uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(damage)
    before = path.read_bytes()
    told = refusal(uri)
    assert told.startswith(f"tracking URI {uri}: {path} lacks '{lacking}")
    assert path.read_bytes() == before
    path.rename(path.with_suffix(".away"))  # as the error advises
    check_recordable(uri)
    assert client(uri).get_experiment_by_name("adiw-tune") is None


def test_a_database_that_mlflow_had_only_begun_is_taken(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/begun.db"
    engine = sqlalchemy.create_engine(uri)
    Base.metadata.create_all(engine)
    engine.dispose()
    check_recordable(uri)
    assert client(uri).get_experiment_by_name("adiw-tune") is None
    check_recordable(uri)
