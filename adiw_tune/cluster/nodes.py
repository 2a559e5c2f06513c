"""Asks each node of a cluster what it has: ``python -m adiw_tune.cluster.nodes ADDRESS``.

A process of its own, so that whoever waits for it can end it, whatever Ray is waiting for. Reads
:class:`adiw_tune.cluster.look.Places` from its input as JSON and prints JSON: ``refused``, a pair
of what was wrong (address, token or versions) and how, or ``nodes``, a list of dicts: ``name``,
``gpus`` (that it offers), and ``seen`` or ``silent``.
"""

import json
import logging
import sys
from dataclasses import asdict
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from adiw_tune.cluster.look import Places
from adiw_tune.errors import in_one_line

_SECONDS = 40.0  # in which each must have answered: importing torch can take half of that


def main() -> None:
    """Ask, and print what came of it."""
    places = Places(**json.load(sys.stdin))
    try:
        ray.init(
            sys.argv[1],
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
        )
    except (RayError, RuntimeError, ConnectionError, ValueError) as error:
        answer: dict[str, Any] = {"refused": _refusal(error)}
    else:
        answer = {"nodes": _ask_all(places)}
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
    return [
        {
            "name": f"{node['NodeManagerAddress']} ({node['NodeID'][:6]})",
            "gpus": int(node["Resources"].get("GPU", 0)),
            **(_answer(reference) if reference in done else {"silent": "it does not answer"}),
        }
        for reference, node in asked.items()
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
        return {"silent": f"it cannot import adiw-tune: {type(error).__name__}: {error}"}
    return {"seen": look.look(look.Places(**places), me)}


def _answer(reference: "ray.ObjectRef[dict[str, Any]]") -> dict[str, Any]:
    try:
        answer: dict[str, Any] = ray.get(reference)
    except RayError as error:
        return {"silent": f"a task fails there: {str(error).splitlines()[-1]}"}
    return answer


if __name__ == "__main__":
    main()
