"""A cluster whose job server listens, and the command line as a user runs it beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ray_nodes import Nodes, free_port, ray_nodes

PASSWORD = "open-sesame-4711"
_NOT_OURS = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


@dataclass(frozen=True)
class Cluster:
    """Two nodes, of which the head has the job server.

    Args:
        nodes: of it.
        dashboard: the job server's address.
        folder: of the user's.
        storage: of the searches.
    """

    nodes: Nodes
    dashboard: str
    folder: Path
    storage: Path

    @property
    def environment(self) -> dict[str, str]:
        """Of a user beside it."""
        ours = {**os.environ, **self.nodes.environment, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        return {name: value for name, value in ours.items() if name not in _NOT_OURS}

    def adiw_tune(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "adiw_tune.cli", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            text=True,
            capture_output=True,
        )

    def begun(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Begin one."""
        return subprocess.Popen(
            [sys.executable, "-m", "adiw_tune.cli", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("user")
    storage = tmp_path_factory.mktemp("storage")
    port = free_port()
    with ray_nodes() as nodes:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        nodes.environment |= {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        dashboard = ("--dashboard-host=127.0.0.1", f"--dashboard-port={port}")
        # What takes jobs on a node has a port that is the same for all clusters of a machine.
        agent = f"--dashboard-agent-listen-port={free_port()}"
        nodes.start_head(1, "--include-dashboard=true", *dashboard, agent)
        yield Cluster(nodes, f"http://127.0.0.1:{port}", folder, storage)
