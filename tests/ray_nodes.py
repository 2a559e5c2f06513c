"""A real Ray cluster of several nodes on this machine, each one started by ``ray start``."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

RAY = str(Path(sys.executable).with_name("ray"))
_SECONDS_TO_WAIT = 240.0
_STARTED = b"Ray runtime started"
# Ray's processes had 30 s, and the machine other work: worth another try.
_TOO_SLOW = b"timed out during startup"
# A dead node is noticed within 3 s, not 15.
_QUICK = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "5"}


@dataclass
class Node:
    """One ``ray start --block`` with all that it began."""

    process: subprocess.Popen[bytes]

    def processes(self) -> list[psutil.Process]:
        """Those that are alive, the node's own first."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def trials(self) -> list[psutil.Process]:
        """Processes in which trials run, or have run."""
        found = []
        for process in self.processes():
            with _gone():
                if "ImplicitFunc" in process.name():
                    found.append(process)
        return found

    def kill(self) -> None:
        """SIGKILL to all of it at once, as when the machine loses its power."""
        for process in self.processes():
            with _gone():
                process.kill()
        self.process.wait()


@dataclass
class Nodes:
    """A cluster: a head, and nodes that come and go.

    Args:
        folder: where Ray writes.
        port: of the head, on this machine's address.
        environment: what a driver needs beside its own, the token among it; Ray reads it when it
            is imported.
    """

    folder: Path
    port: int
    environment: dict[str, str]
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{_own_address()}:{self.port}"

    def start_head(self, cpus: int = 1, *options: str) -> Node:
        """The first node."""
        head = ("--head", f"--port={self.port}", f"--temp-dir={self.folder}")
        return self._start(cpus, *head, "--disable-usage-stats", *options)

    def start(
        self, cpus: int = 1, *options: str, within: Sequence[str] = (), **environment: str
    ) -> Node:
        """One more node; ``environment`` is what it alone has, ``within`` the command around it."""
        options = (f"--address={self.address}", *options)
        return self._start(cpus, *options, within=within, **environment)

    def _start(
        self, cpus: int, *options: str, within: Sequence[str] = (), **environment: str
    ) -> Node:
        printed = self.folder.parent / f"{self.folder.name}-{len(self.nodes)}.log"
        command = (*within, RAY, "start", "--block", f"--num-cpus={cpus}", *options)
        for _ in range(4):
            node = self._begun(command, environment, printed)
            if node.process.poll() is None:
                return node
            self.nodes.remove(node)
            if _TOO_SLOW not in printed.read_bytes():
                break
        raise AssertionError(printed.read_text())

    def _begun(self, command: Sequence[str], environment: dict[str, str], printed: Path) -> Node:
        """One that has started, or ended."""
        with printed.open("wb") as file:
            process = subprocess.Popen(
                command,
                env={**_of_a_machine(), **self.environment, **_QUICK, **environment},
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder.parent,
            )
        node = Node(process)
        self.nodes.append(node)
        wait_until(lambda: _STARTED in printed.read_bytes() or process.poll() is not None)
        return node


def _of_a_machine() -> dict[str, str]:
    """This process's environment without what tests, and MLflow itself, have set in it."""
    ours = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """A cluster without nodes yet; all are killed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ray-nodes-", dir="/tmp"))  # sockets need short paths
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    nodes = Nodes(folder / "r", free_port(), environment)
    nodes.folder.mkdir()
    try:
        yield nodes
    finally:
        for node in nodes.nodes:
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(true: Callable[[], bool], seconds: float = _SECONDS_TO_WAIT) -> float:
    """Wait for it, and say how many seconds that took."""
    start = time.monotonic()
    while not true():
        waited = time.monotonic() - start
        assert waited < seconds, f"waited {seconds:.0f} s in vain"
        time.sleep(0.1)
    return time.monotonic() - start


@contextmanager
def _gone() -> Iterator[None]:
    """Processes end while they are looked at."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        yield


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as server:
        server.bind(("", 0))
        return int(server.getsockname()[1])


def _own_address() -> str:
    """This machine's, as Ray finds it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 80))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
