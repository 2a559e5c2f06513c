import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from adiw_tune.addresses import without_credentials
from adiw_tune.errors import UserError
from adiw_tune.tracking.check import (
    absolute_uri,
    check_tracking_uri,
    default_tracking_uri,
    sqlite_path,
)


def refusal(uri: str) -> str:
    with pytest.raises(UserError) as caught:
        check_tracking_uri(uri)
    message = str(caught.value)
    assert "\n" not in message
    return message


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_server_is_named_without_its_password() -> None:
    started = time.monotonic()
    message = refusal(f"http://anna:s3cret@127.0.0.1:{unused_port()}")
    assert time.monotonic() - started < 60  # MLflow itself would try for minutes
    assert "anna" not in message
    assert "s3cret" not in message
    assert "127.0.0.1" in message
    assert "start it" in message


def test_a_server_that_never_answers_does_not_hold_us_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        message = refusal(f"http://u:password@127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - started < 60  # MLflow itself would try for minutes
        assert "password" not in message


@pytest.mark.parametrize(("status", "hint"), [(403, "--allowed-hosts"), (200, "not as an MLflow")])
def test_a_server_that_is_not_mlflow_or_refuses_us(status: int, hint: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert hint in refusal(f"http://127.0.0.1:{server.server_port}")
        thread.join()


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "sqlite://", "s3://bucket", ""])
def test_other_addresses_are_refused_with_the_right_ones(uri: str) -> None:
    assert "sqlite:////absolute/path/mlflow.db" in refusal(uri)


def test_a_database_server_is_refused_without_its_password() -> None:
    message = refusal("postgresql://anna:s3cret@db/mlflow")
    assert "s3cret" not in message
    assert "'postgresql'" in message


def test_sqlite_needs_its_directory(tmp_path: Path) -> None:
    assert "create it" in refusal(f"sqlite:///{tmp_path}/missing/mlflow.db")
    assert "not a writable file" in refusal(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes, not a database\n" * 40)
    assert "not a usable SQLite database" in refusal(f"sqlite:///{path}")
    assert path.read_text().startswith("these are notes")


def test_a_database_that_another_process_keeps_locked(uri: str) -> None:
    path = uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        told = refusal(uri)
    assert told == (
        f"tracking database {path} is locked by another process; try again when that has ended"
    )
    check_tracking_uri(uri)


KILLED_WHILE_WRITING = """
import os, signal, sqlite3, sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")  # so that what is not committed is in the file already
database.execute("BEGIN IMMEDIATE")
database.execute("CREATE TABLE rows (text)")
for _ in range(1000):
    database.execute("INSERT INTO rows VALUES (?)", ("x" * 1000,))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_whose_writer_was_killed_within_a_transaction_is_accepted(
    uri: str, tmp_path: Path
) -> None:
    path = tmp_path / "killed.db"
    shutil.copyfile(uri.removeprefix("sqlite:///"), path)
    subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
    assert path.with_name("killed.db-journal").stat().st_size > 0
    check_tracking_uri(f"sqlite:///{path}")
    assert not path.with_name("killed.db-journal").exists()


def test_a_new_sqlite_file_is_accepted_and_not_created(tmp_path: Path) -> None:
    check_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not list(tmp_path.iterdir())


def test_mlflows_own_database_is_accepted(uri: str) -> None:
    check_tracking_uri(uri)


def test_the_default_is_a_file_here_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sqlite_path(default_tracking_uri()) == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert default_tracking_uri() == "http://tracking:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///rel.db?timeout=9")
    assert default_tracking_uri() == f"sqlite:///{tmp_path}/rel.db?timeout=9"


@pytest.mark.parametrize("uri", ["sqlite:////a/b.db", "sqlite:///:memory:", "http://a/b", "", "x"])
def test_an_address_that_is_the_same_everywhere_stays_as_it_is(uri: str) -> None:
    assert absolute_uri(uri) == uri


def test_credentials_are_taken_out_of_any_text() -> None:
    text = without_credentials("GET http://a:b@c@host/x failed, postgresql://u:p@db/m too")
    assert text == "GET http://***@host/x failed, postgresql://***@db/m too"
