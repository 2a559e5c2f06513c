"""Asks each node of a cluster what it has: ``python -m adiw_tune.cluster.nodes ADDRESS``.

A process of its own, so that whoever waits for it can end it, whatever Ray is waiting for. Reads
:class:`adiw_tune.cluster.look.Places` from its input as JSON and prints JSON: ``refused``, a pair
of what was wrong (address, token, versions or start) and how, or ``nodes``, a list of dicts:
``name``, ``gpus`` (that it offers), and ``seen`` or ``silent``, a pair of what it is (gone, slow or
broken) and how that shows. Without an address it only sees that Ray starts on this machine.
"""

import json
import sys
from dataclasses import asdict
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from adiw_tune.cluster.look import Places
from adiw_tune.errors import UserError, in_one_line
from adiw_tune.search.on_ray.connection import connected

_SECONDS = 40.0  # in which each should have answered: importing torch can take half of that
_SLOW = f"it has not answered within {_SECONDS:.0f} s"
_GONE = ("gone", "it has left the cluster while it was asked")


def main() -> None:
    """Ask, and print what came of it."""
    places = Places(**json.load(sys.stdin))
    address = sys.argv[1] if len(sys.argv) > 1 else None
    try:
        with connected(address):
            answer: dict[str, Any] = {"nodes": _ask_all(places) if address else []}
    except UserError as error:
        answer = {"refused": ("start", str(error))}
    except (RayError, RuntimeError, ConnectionError, ValueError) as error:
        answer = {"refused": _refusal(error)}
    print(json.dumps(answer))


def _refusal(error: BaseException) -> tuple[str, str]:
    """What is wrong, and how. Ray tells of a token it refuses in what led to the error."""
    if isinstance(error, AuthenticationError) or "InvalidAuthToken" in str(error.__context__):
        return "token", "the cluster refuses it, or there is none here"
    subject = "versions" if "Version mismatch" in str(error) else "address"
    return subject, in_one_line(error)


def _ask_all(places: Places) -> list[dict[str, Any]]:
    nodes = [node for node in ray.nodes() if node["Alive"]]
    asked = {_ask(node["NodeID"], places): node for node in nodes}
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_SECONDS)
    answers = [_answer(one) if one in done else {"silent": ("slow", _SLOW)} for one in asked]
    there = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return [
        {
            "name": f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})",
            "gpus": int(node["Resources"].get("GPU", 0)),
            **(answer if "seen" in answer or node["NodeID"] in there else {"silent": _GONE}),
        }
        for node, answer in zip(nodes, answers, strict=True)
    ]


def _ask(node: str, places: Places) -> "ray.ObjectRef[dict[str, Any]]":
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    # Without a core, since all may be at work; the process is not used again.
    task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_look)
    return task.options(scheduling_strategy=there).remote(asdict(places), node)


def _look(places: dict[str, Any], me: str) -> dict[str, Any]:
    """Runs on a node, which may lack this package: it is sent by value."""
    try:
        from adiw_tune.cluster import look
    except Exception as error:
        how = f"it cannot import adiw-tune: {type(error).__name__}: {error}"
        return {"silent": ("broken", how)}
    return {"seen": look.look(look.Places(**places), me)}


def _answer(reference: "ray.ObjectRef[dict[str, Any]]") -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ray.get(reference)
    except RayError as error:
        return {"silent": ("broken", f"a task fails there: {str(error).splitlines()[-1]}")}
    return answer


if __name__ == "__main__":
    main()
