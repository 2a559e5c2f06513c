"""What is wrong with a machine or a cluster is caused, and said."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.helpers import called
from tests.ray_nodes import wait_until

from .conftest import Cluster

TASK = Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"
OWN = "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0, 'task': 'task.py'}\n"
DEAD = "http://127.0.0.1:9"


class Health(BaseHTTPRequestHandler):
    """What an MLflow server says when it is asked whether it is well; it has no experiments."""

    def do_GET(self) -> None:
        is_well = self.path == "/health"
        self.send_response(200 if is_well else 404)
        self.send_header("Content-Type", "text/plain" if is_well else "application/json")
        self.end_headers()
        self.wfile.write(b"OK" if is_well else b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


def lines(ran: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Subject -> level and what is told."""
    found = {}
    for line in ran.stdout.splitlines():
        level, subject, told = line.replace(":", "", 1).split(maxsplit=2)
        found[subject] = (level, told)
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "space.py").write_text(OWN)
    shutil.copy(TASK, tmp_path / "task.py")
    return tmp_path


def test_a_machine_that_is_well_and_nothing_is_left_behind(here: Path) -> None:
    before = sorted(here.rglob("*"))
    ran = called(here, "doctor", "space.py")
    assert ran.returncode == 0, ran.stdout
    assert {level for level, _ in lines(ran).values()} == {"ok"}
    assert lines(ran)["space"] == ("ok", f"'space.py' with {here / 'task.py'}")
    assert lines(ran)["storage"] == ("ok", str(here / "adiw-searches"))
    assert sorted(here.rglob("*")) == before


def test_a_machine_that_is_not(here: Path) -> None:
    (here / "space.py").write_text("import no_such_module\n")
    options = ("--storage", "/proc/here", "--checkpoints", "nfs://host/x", "--tracking-uri", DEAD)
    ran = called(here, "doctor", "space.py", *options)
    assert ran.returncode == 2
    found = lines(ran)
    assert found["space"][0] == "problem"
    assert (
        "does not run: ModuleNotFoundError: No module named 'no_such_module'" in found["space"][1]
    )
    assert found["storage"][1].startswith("cannot write to '/proc/here' (")
    assert found["checkpoints"][1].startswith("cannot write to 'nfs://host/x' (")
    assert found["tracking"][1].startswith(f"tracking server {DEAD} does not answer")


@pytest.mark.parametrize("address", ["127.0.0.1:9", "here"])
def test_an_address_where_nothing_answers(here: Path, address: str) -> None:
    ran = called(here, "doctor", "--address", address)
    assert ran.returncode == 2
    level, told = lines(ran)["address"]
    assert level == "problem"
    assert told.startswith(f"'{address}': ")
    assert told.endswith("give HOST:PORT of a running cluster, or auto on one of its nodes")


def test_a_token_that_is_not_the_cluster_s(cluster: Cluster) -> None:
    ran = cluster.adiw_tune("doctor", "--address", cluster.nodes.address, RAY_AUTH_TOKEN="0" * 64)
    assert ran.returncode == 2, ran.stderr
    level, told = lines(ran)["token"]
    assert level == "problem"
    assert told.startswith(f"'{cluster.nodes.address}': the cluster refuses it")
    assert "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN" in told


@pytest.mark.slow
def test_a_cluster_that_is_well_asked_by_a_job(cluster: Cluster) -> None:
    (cluster.folder / "space.py").write_text(OWN)
    shutil.copy(TASK, cluster.folder / "task.py")
    where = ("--address", cluster.dashboard, "--storage", str(cluster.storage))
    ran = cluster.adiw_tune("doctor", "space.py", *where)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {level for level, _ in lines(ran).values()} == {"ok"}
    assert lines(ran)["address"] == ("ok", "1 node(s) at 'auto'")
    assert not list(cluster.storage.glob(".adiw-doctor*"))


def _can_unshare() -> bool:
    return not subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode


@pytest.mark.skipif(not _can_unshare(), reason="a mount of one's own needs root")
def test_a_node_that_is_unlike_the_others(cluster: Cluster, server: str, tmp_path: Path) -> None:
    """It has another torch, a storage and a folder of its own, no way to MLflow and no GPU."""
    (cluster.folder / "space.py").write_text(OWN)
    shutil.copy(TASK, cluster.folder / "task.py")
    other = tmp_path / "torch-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    hide = f"mount -t tmpfs none {cluster.storage} && mount -t tmpfs none {cluster.folder}"
    node = cluster.nodes.start(
        1,
        "--num-gpus=1",
        within=("unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh"),
        PYTHONPATH=f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        http_proxy=DEAD,
    )
    try:
        ran = cluster.adiw_tune(
            *("doctor", "space.py", "--address", cluster.nodes.address),
            *("--storage", str(cluster.storage), "--tracking-uri", server),
        )
    finally:
        node.kill()
        wait_until(lambda: alive(cluster) == 1)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    found = lines(ran)
    assert {subject: level for subject, (level, _) in found.items()} == {
        "address": "ok",
        "token": "ok",
        "versions": "problem",
        "space": "problem",
        "storage": "problem",
        "tracking": "note",
        "GPU": "problem",
    }
    assert "has torch 1.0 where this one has" in found["versions"][1]
    assert f"no task file '{cluster.folder / 'task.py'}'" in found["space"][1]
    assert "what is written to it here is not found there: mount one" in found["storage"][1]
    assert "only the driver writes to MLflow" in found["tracking"][1]
    assert "offers 1, of which torch sees 0" in found["GPU"][1]
    assert all(told.count(" (") == 1 for _, told in list(found.values())[2:5])  # one node


@pytest.mark.slow
def test_a_node_that_is_broken_slow_or_gone(cluster: Cluster, tmp_path: Path) -> None:
    """One without this package, one that takes minutes to import it, one killed while it does."""
    for name, text in {
        "broken": "raise ModuleNotFoundError('No module named torch')",
        "slow": "import time; time.sleep(600)",
        "gone": f"import time; open({str(tmp_path / 'asked')!r}, 'w'); time.sleep(600)",
    }.items():
        (tmp_path / name / "adiw_tune").mkdir(parents=True)
        (tmp_path / name / "adiw_tune" / "__init__.py").write_text(text)
    nodes = {
        name: cluster.nodes.start(0, PYTHONPATH=str(tmp_path / name))
        for name in ("broken", "slow", "gone")
    }
    try:
        asking = cluster.begun("doctor", "--address", cluster.nodes.address)
        wait_until((tmp_path / "asked").exists)
        nodes["gone"].kill()
        printed, _ = asking.communicate()
    finally:
        for node in nodes.values():
            node.kill()
        wait_until(lambda: alive(cluster) == 1)
    assert asking.returncode == 2, printed
    told = [line.split(maxsplit=2) for line in printed.splitlines() if " nodes" in line]
    assert {level for level, _, line in told if "it cannot import" in line} == {"problem"}
    (broken,) = (line for _, _, line in told if "ModuleNotFoundError" in line)
    assert "install adiw-tune there" in broken
    (slow,) = (line for _, _, line in told if "it has not answered within 40 s" in line)
    assert "run doctor again" in slow
    (gone,) = (line for _, _, line in told if "it has left the cluster" in line)
    assert "start it again" in gone
    assert sorted(level for level, _, _ in told) == ["note", "note", "problem"]


def alive(cluster: Cluster) -> int:
    """Nodes, as the cluster itself has noticed."""
    listed = subprocess.run(
        [shutil.which("ray", path=cluster.environment["PATH"]) or "ray", "list", "nodes"],
        env={**cluster.environment, "RAY_ADDRESS": cluster.dashboard},
        text=True,
        capture_output=True,
    )
    return listed.stdout.count("ALIVE")
