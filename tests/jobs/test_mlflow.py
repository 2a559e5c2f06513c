"""jobs/mlflow.sh is an MLflow server on PostgreSQL and S3 that a search records to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from pyarrow.fs import FileSelector, S3FileSystem

from adiw_tune.errors import UserError
from adiw_tune.tracking.preflight import check_recordable
from adiw_tune.tracking.refusal import RefusedError
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import _end, _wait_until_healthy

from ..ray_nodes import free_port
from ..s3 import S3_KEYS, serving_s3
from ..tracking.helpers import children, client, expected_history, make_search
from .commands import JOBS

SCRIPT = str(JOBS / "mlflow.sh")
PASSWORD = "of-the-database"


def postgresql() -> Path:
    """Debian's programs; without them the tests are skipped, but on CI they fail."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        reason = "no PostgreSQL on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found[-1]


@contextmanager
def serving_postgresql() -> Iterator[int]:
    """Its port, while it runs with an empty database; PASSWORD is that of the user mlflow."""
    programs, port = postgresql(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="adiw-postgresql-"))
    (folder / "password").write_text(PASSWORD)
    as_another = []
    if os.getuid() == 0:  # as whom it refuses to run
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
        as_another = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(program: str, *options: str) -> None:
        command = [*as_another, str(programs / program), "-D", str(folder / "data"), *options]
        with (folder / "log").open("w") as log:
            subprocess.run(command, check=True, cwd=folder, stdout=log, stderr=log)

    try:
        login = ("-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={folder}/password")
        run("initdb", *login, "--no-sync", "--locale=C", "--encoding=UTF8")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "start", "-w", "-o", options)
        try:
            yield port
        finally:
            run("pg_ctl", "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Served:
    """Where the server is called by its name and by its address, and what it stands on."""

    by_name: str
    by_address: str
    database: str
    s3: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in S3_KEYS.items():
            patch.setenv(name, value)
        s3 = stack.enter_context(serving_s3("mlflow"))
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{s3}")
        patch.setenv("PGPASSWORD", PASSWORD)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        database = (
            f"postgresql://mlflow@127.0.0.1:{stack.enter_context(serving_postgresql())}/postgres"
        )
        port = free_port()
        words = [database, "s3://mlflow/of-ours", "--port", str(port), "--workers", "1"]
        words += ["--allowed-hosts", f"localhost:{port}"]
        log = tmp_path_factory.mktemp("mlflow") / "log"
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        with log.open("w") as output:
            server = subprocess.Popen(
                ["bash", SCRIPT, *words], stdout=output, stderr=output, start_new_session=True
            )
        stack.callback(_end, server)
        _wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
        patch.delenv("PGPASSWORD")  # a search needs neither
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL"):
            patch.delenv(name)
        yield Served(f"http://localhost:{port}", f"http://127.0.0.1:{port}", database, s3)


def test_runs_go_to_postgresql_and_artifacts_to_s3(served: Served, tmp_path: Path) -> None:
    search, uri = make_search(6), served.by_name
    check_recordable(uri)
    runs = SearchRuns.open(uri, "digits", {}, "search-1")
    runs.record(search.events)
    (tmp_path / "report.html").write_text("a report")
    client(uri).log_artifacts(runs.parent_run_id, str(tmp_path))
    runs.interrupt()
    check_recordable(uri, "search-1")
    trials = set(expected_history(search.events))
    assert set(children(uri)) == trials

    login = served.database.replace("mlflow@", f"mlflow:{PASSWORD}@")
    with psycopg.connect(login) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (1 + len(trials),)
    filesystem = S3FileSystem(
        endpoint_override=served.s3, scheme="http", access_key="a", secret_key="b"
    )
    files = filesystem.get_file_info(FileSelector("mlflow/of-ours", recursive=True))
    assert "report.html" in {Path(file.path).name for file in files}


def test_a_name_that_the_server_is_not_called_by_is_refused_at_once(served: Served) -> None:
    with pytest.raises(RefusedError, match="--allowed-hosts"):  # although it says that it is well
        check_recordable(served.by_address)


def test_a_database_server_is_reached_through_mlflows_own(served: Served) -> None:
    with pytest.raises(UserError, match=r"see jobs/mlflow\.sh"):
        check_recordable(served.database)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "usage: bash jobs/mlflow.sh"),
        (("postgresql://u:secret@h/d", "s3://b/p"), "set PGPASSWORD instead"),
    ],
)
def test_what_it_cannot_take_is_told_in_a_line(words: tuple[str, ...], told: str) -> None:
    ran = subprocess.run(["bash", SCRIPT, *words], text=True, capture_output=True)
    assert ran.returncode == 2
    assert told in ran.stderr
    assert "secret" not in ran.stderr
    assert ran.stderr.count("\n") == 1
