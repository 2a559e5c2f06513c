"""Show MLflow's pages for a store: start its server on loopback, or use the one there is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

from adiw_tune.addresses import without_credentials
from adiw_tune.errors import UserError
from adiw_tune.tracking.check import is_server, sqlite_path
from adiw_tune.tracking.view import view_address

HOST = "127.0.0.1"
_START_SECONDS = 300  # a busy machine takes minutes; one that ends by itself is noticed at once
_STOP_SECONDS = 10.0


@dataclass
class ServedUi:
    """MLflow's pages at `base_url`, and the address to open; use it in a `with` or call `stop`."""

    base_url: str
    address: str
    server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def wait(self) -> None:
        """Wait until the server ends; return at once if it is not ours."""
        if self.server is not None:
            self.server.wait()

    def stop(self) -> None:
        """End the server and every process it started; a second call does nothing."""
        if self.server is not None:
            _end(self.server)
            self.server = None

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()


def serve_ui(
    uri: str,
    experiment_id: str | None = None,
    view_key: str | None = None,
    port: int | None = None,
    open_browser: bool = False,
) -> ServedUi:
    """Serve MLflow's pages for a store and return once they can be opened.

    Args:
        uri: an `sqlite:///` store, for which a server is started that only this machine can reach,
            or an `http(s)://` server, of which only the addresses are returned.
        experiment_id: the experiment of the view to open; None opens the front page.
        view_key: the view's key, from `SearchRuns.view_key`.
        port: the port to listen on; None or 0 picks a free one.
        open_browser: also open the address in the user's browser.
    """
    if is_server(uri):
        served = ServedUi(uri.rstrip("/"), _address(uri, experiment_id, view_key))
    else:
        served = _serve_database(uri, experiment_id, view_key, port or _free_port())
    if open_browser:
        webbrowser.open(served.address)
    return served


def _address(base_url: str, experiment_id: str | None, view_key: str | None) -> str:
    if experiment_id is None or view_key is None:
        return base_url.rstrip("/")
    return view_address(base_url, experiment_id, view_key)


def _serve_database(
    uri: str, experiment_id: str | None, view_key: str | None, port: int
) -> ServedUi:
    database = sqlite_path(uri)
    if database is None:
        raise UserError(
            f"cannot serve {without_credentials(uri)!r}: use sqlite:////absolute/path/mlflow.db or "
            "http(s)://your-mlflow-server"
        )
    if not database.exists():  # MLflow would quietly show an empty new one
        raise UserError(f"there is no MLflow database at {database}; run a search first")
    _check_port(port)
    base_url = f"http://{HOST}:{port}"
    server = _start(uri, database.parent / "mlartifacts", port, base_url)
    return ServedUi(base_url, _address(base_url, experiment_id, view_key), server)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # A port whose last server just ended may be taken again at once.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"port {port} on {HOST} cannot be used ({error}); choose another port, or 0 for a "
                "free one"
            ) from None


def _start(uri: str, artifacts: Path, port: int, base_url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    # Runs of this tool name their files by absolute path; the destination is for any others.
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(artifacts)]
    command += ["--workers", "1"]
    with NamedTemporaryFile(prefix="adiw-mlflow-", suffix=".log") as log:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            start_new_session=True,  # its own process group, so that `stop` ends its workers too
        )
        try:
            _wait_until_healthy(server, base_url, Path(log.name))
        except BaseException:
            _end(server)
            raise
    return server


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # Without this the server starts 10 processes and 1.5 GB for jobs that nobody here asks for.
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a local page should stay local
    return environment


def _wait_until_healthy(server: subprocess.Popen[bytes], base_url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise UserError(f"mlflow server at {base_url} did not start: {_last_line(log)}")
        if _healthy(base_url):
            return
        time.sleep(0.2)
    raise UserError(
        f"mlflow server at {base_url} did not answer in {_START_SECONDS:.0f} s: {_last_line(log)}"
    )


def _healthy(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return without_credentials(lines[-1].strip()[:300]) if lines else "it said nothing"


def _end(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(_STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    server.wait(_STOP_SECONDS)
