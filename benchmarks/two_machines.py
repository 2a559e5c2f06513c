"""The recipe of jobs/two-machines.md, on two hosts that are made of namespaces of this machine.

    python benchmarks/two_machines.py      # as root, on Linux with iproute2; some minutes

Each host has its own network, processes, home and temporary files; they share a directory and a
cable. The commands are the recipe's own, but for scp, which is a copy between the two homes. The
last line tells, as JSON, how many processes of trials each host had, with commit and machine.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provenance import commit, machine

ROOT = Path(__file__).parent.parent
RECIPE = (ROOT / "jobs" / "two-machines.md").read_text()
ADDRESSES = {"first": "10.217.0.1", "second": "10.217.0.2"}
SPACE = ROOT / "search_spaces" / "digits.py"
OPTIONS = "--trials 6 --seeds 0 --concurrency 4"

# The first process of a host, which also collects those that were left behind.
INIT = """
hostname "$0"
mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray && mount -t tmpfs tmpfs /dev/shm
mount --bind "$1" /srv
sleep infinity & wait
"""


@dataclass
class Host:
    """Namespaces that last as long as their first process, ``pid``."""

    name: str
    pid: str
    home: Path

    def run(self, script: str) -> str:
        """What it printed, which is shown too; a failure ends the whole."""
        environment = {**os.environ, "HOME": str(self.home)}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        enter = ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--uts", "--ipc"]
        done = subprocess.run(
            [*enter, "bash", "-euo", "pipefail", "-c", f"export RAY_AUTH_MODE=token\n{script}"],
            env=environment,
            cwd="/",
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        print(f"--- {self.name}\n{done.stdout}", flush=True)
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode} on {self.name}")
        return done.stdout


@contextmanager
def host(name: str, folder: Path) -> Iterator[Host]:
    """One that shares ``folder`` as /srv with the others, and is gone at the end."""
    kinds = ("--net", "--uts", "--pid", "--ipc", "--mount")
    command = ["unshare", *kinds, "--fork", "--kill-child", "--mount-proc"]
    (folder / "shared").mkdir(exist_ok=True)
    (folder / name).mkdir()
    shared = str(folder / "shared")
    with subprocess.Popen([*command, "bash", "-ec", INIT, name, shared]) as holder:
        try:
            children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
            while not (pid := children.read_text().strip()):
                pass
            yield Host(name, pid, folder / name)
        finally:
            holder.kill()


def connect(first: Host, second: Host) -> None:
    """A cable between the two; what is not on it is said to be at the other end."""
    cable = f"ip link add eth0 netns {first.pid} type veth peer name eth0 netns {second.pid}"
    subprocess.run(cable.split(), check=True)
    for one, other in ((first, second), (second, first)):
        one.run(
            f"ip link set lo up && ip link set eth0 up\n"
            f"ip addr add {ADDRESSES[one.name]}/24 dev eth0\n"
            f"ip route add default via {ADDRESSES[other.name]}"
        )


def follow(first: Host, second: Host) -> None:
    """Do what the recipe says."""
    head, join, search = re.findall(r"```bash\n(.*?)```", RECIPE, re.DOTALL)
    first.run(head)
    copied = f"cp {first.home}/.ray/auth_token ~/.ray/auth_token"
    joined = join.replace("scp FIRST:.ray/auth_token ~/.ray/auth_token", copied)
    second.run(joined.replace("FIRST", ADDRESSES[first.name]))
    words = search.replace("/shared", "/srv").replace("space.py", str(SPACE)).strip()
    first.run(f"{words} {OPTIONS}")


def trial_processes(first: Host) -> dict[str, int]:
    """By host, as the cluster remembers its actors; one process may have had several trials."""
    names = {address: name for name, address in ADDRESSES.items()}
    nodes = json.loads(first.run("ray list nodes --format json"))
    of_node = {node["node_id"]: names[node["node_ip"]] for node in nodes}
    actors = json.loads(first.run("ray list actors --format json --limit 1000"))
    of_trials = [actor for actor in actors if actor["class_name"] == "ImplicitFunc"]
    return dict(Counter(of_node[actor["node_id"]] for actor in of_trials))


if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(dir=Path.home()) as folder,
        host("first", Path(folder)) as first,
        host("second", Path(folder)) as second,
    ):
        connect(first, second)
        follow(first, second)
        counted = trial_processes(first)
    print(json.dumps({"commit": commit(), "machine": machine(), "trial_processes": counted}))
