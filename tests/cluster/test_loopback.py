"""A search without an address keeps to this machine, and ends well when it is told to."""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cli.helpers import Running, of_kind, read_events

LONG = "def space(trial):\n    return {'epochs': 9000, 'batch_size': 64, 'method': 'erm'}\n"
# A client that looks for the cluster's job server, and is told nothing of a token.
STRANGER = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
CONNECT = "import sys\nfrom ray.job_submission import JobSubmissionClient as C\nC(sys.argv[1])"


def listening(processes: list[psutil.Process]) -> dict[str, set[tuple[str, int]]]:
    """Name of a process -> addresses and ports at which it listens."""
    found: dict[str, set[tuple[str, int]]] = {}
    for process in processes:
        for one in process.net_connections("inet"):
            if one.status == psutil.CONN_LISTEN:
                found.setdefault(process.name(), set()).add((one.laddr.ip, one.laddr.port))
    return found


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def test_a_search_on_this_machine_is_out_of_reach_for_others_and_ends_by_a_service_s_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "space.py").write_text(LONG)
    # As a script does that starts it in the background: it is inherited.
    on_sigint = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        search = Running(
            tmp_path, "search", "space.py", "--name", "s", "--trials", "1", "--seeds", "0"
        )
    finally:
        signal.signal(signal.SIGINT, on_sigint)
    with search:
        search.wait_until(lambda: bool(of_kind(read_events(tmp_path), "epoch")))
        sockets = listening([psutil.Process(pid) for pid in search.members()])
        assert {"gcs_server", "raylet"} <= set(sockets)
        for name, addresses in sockets.items():
            assert all(is_loopback(address) for address, _ in addresses), (name, addresses)

        words = [word for pid in search.members() for word in psutil.Process(pid).cmdline()]
        (address,) = {word for word in words if word.startswith("--gcs-address=")}
        port = int(address.rpartition(":")[2])  # it may listen on others too
        assert port in {known for _, known in sockets["gcs_server"]}
        refused = subprocess.run(
            [sys.executable, "-c", CONNECT, f"127.0.0.1:{port}"],
            env={**os.environ, **STRANGER},
            text=True,
            capture_output=True,
        )
        assert "AuthenticationError" in refused.stderr
        assert not (tmp_path / "home" / ".ray").exists(), "its token is in no file"

        search.process.send_signal(signal.SIGINT)  # Ctrl-C, which is not meant for it
        epochs = len(of_kind(read_events(tmp_path), "epoch"))
        search.wait_until(lambda: len(of_kind(read_events(tmp_path), "epoch")) > epochs)
        assert search.send(signal.SIGTERM) == 130
        assert search.stderr().splitlines()[-1] == "stopped; go on by: adiw-tune resume s"


@pytest.mark.parametrize("told", ["all", "the raylet and then the search"])
def test_it_ends_as_by_ctrl_c_too_where_ray_is_told_to_end_at_the_same_time(
    told: str, tmp_path: Path
) -> None:
    (tmp_path / "space.py").write_text(LONG)
    options = ("--name", "s", "--trials", "1", "--seeds", "0")
    with Running(tmp_path, "search", "space.py", *options) as search:
        search.wait_until(lambda: bool(of_kind(read_events(tmp_path), "epoch")))
        if told == "all":
            os.killpg(search.process.pid, signal.SIGTERM)  # as timeout, Slurm and systemd do
        else:  # then Ray's other process still tells the search that a node is gone
            (raylet,) = (n for n in search.members() if psutil.Process(n).name() == "raylet")
            os.kill(raylet, signal.SIGTERM)
            search.process.send_signal(signal.SIGTERM)
        assert search.ended() == 130, search.stderr()
        assert search.stderr().splitlines()[-1] == "stopped; go on by: adiw-tune resume s"
        assert "Traceback" not in search.stderr()
        search.wait_until_no_trial_runs()
