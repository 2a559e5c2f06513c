"""The machines of a search, each asked what it has, and never waited for too long."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from adiw_tune.cluster.look import Places, Seen, look

_LONGEST_SECONDS = (
    180.0  # for Ray to start or be reached, and nodes to answer; a machine may be busy
)
_RAY = {"RAY_NUM_REDIS_GET_RETRIES": "3"}  # to connect, a second each, not twenty


class Refused(Exception):
    """A cluster does not let us in, or Ray does not start here.

    Args:
        subject: address, token, versions or start, of which something is wrong.
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
        silent: what it is then, gone, slow or broken, and how that shows.
    """

    name: str
    gpus: int
    seen: Seen | None
    silent: tuple[str, str] = ("", "")


def this_machine(places: Places) -> Node:
    """Where Ray would start by itself, and has to try.

    Raises:
        Refused: it does not start.
    """
    nodes_at(None, places)
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return Node("this machine", gpus, Seen(**look(places, "here")))


def nodes_at(address: str | None, places: Places) -> list[Node]:
    """Those of a running cluster.

    Args:
        address: as ``ray.init`` takes it; None starts Ray on this machine, and asks none.
        places: what is asked of each.

    Raises:
        Refused: the cluster cannot be reached, or does not let us in; Ray does not start.
    """
    command = [sys.executable, "-m", "adiw_tune.cluster.nodes", *([address] if address else [])]
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
        raise _no_answer(address, f"nothing within {_LONGEST_SECONDS:.0f} s") from None
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines:
        raise _no_answer(address, (ran.stderr.strip().splitlines() or ["Ray ended"])[-1][:300])
    answer = json.loads(lines[-1])
    if "refused" in answer:
        raise Refused(*answer["refused"])
    return [
        Node(
            one["name"],
            one["gpus"],
            Seen(**one["seen"]) if "seen" in one else None,
            tuple(one.get("silent", ("", ""))),
        )
        for one in answer["nodes"]
    ]


def _no_answer(address: str | None, told: str) -> Refused:
    if address is not None:
        return Refused("address", told)
    return Refused("start", f"Ray does not run on this machine ({told}): is it busy? try again")
