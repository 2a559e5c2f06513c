"""The machines of a search, each asked what it has, and never waited for too long."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from adiw_tune.cluster.look import Places, Seen, look

_LONGEST_SECONDS = 90.0  # for a cluster to be reached and its nodes to answer
_RAY = {"RAY_NUM_REDIS_GET_RETRIES": "3"}  # to connect, a second each, not twenty


class Refused(Exception):
    """A cluster does not let us in.

    Args:
        subject: address, token or versions, of which something is wrong.
        told: what Ray says to it.
    """

    def __init__(self, subject: str, told: str) -> None:
        super().__init__(told)
        self.subject = subject
        self.told = told


@dataclass(frozen=True)
class Node:
    """A machine on which trials would run.

    Args:
        name: of its address and of its id.
        gpus: that it offers to trials.
        seen: what it has; None: it does not say.
        silent: why not.
    """

    name: str
    gpus: int
    seen: Seen | None
    silent: str = ""


def this_machine(places: Places) -> Node:
    """Where Ray would start by itself."""
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return Node("this machine", gpus, Seen(**look(places, "here")))


def nodes_at(address: str, places: Places) -> list[Node]:
    """Those of a running cluster.

    Args:
        address: as ``ray.init`` takes it.
        places: what is asked of each.

    Raises:
        Refused: the cluster cannot be reached, or does not let us in.
    """
    command = [sys.executable, "-m", "adiw_tune.cluster.nodes", address]
    environment = {**os.environ, **_RAY}
    try:
        ran = subprocess.run(
            command,
            input=json.dumps(asdict(places)),
            env=environment,
            text=True,
            capture_output=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise Refused("address", f"nothing within {_LONGEST_SECONDS:.0f} s") from None
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines:
        raise Refused("address", (ran.stderr.strip().splitlines() or ["Ray ended"])[-1])
    answer = json.loads(lines[-1])
    if "refused" in answer:
        raise Refused(*answer["refused"])
    return [
        Node(
            one["name"],
            one["gpus"],
            Seen(**one["seen"]) if "seen" in one else None,
            one.get("silent", ""),
        )
        for one in answer["nodes"]
    ]
