"""What a search would lack, said before it is begun: one line each, with the remedy."""

import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from adiw_tune.addresses import RIGHT_CLUSTER, cluster_place, without_credentials
from adiw_tune.cluster.asking import Node, Refused, nodes_at, this_machine
from adiw_tune.cluster.look import Places, versions, word_left
from adiw_tune.errors import UserError, in_one_line
from adiw_tune.in_time import in_time
from adiw_tune.record.checkpoints import absolute
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.tasks import shift_files
from adiw_tune.tracking.check import is_server
from adiw_tune.tracking.preflight import check_recordable
from adiw_tune.user_file import is_file

Level = Literal["ok", "note", "problem"]

_SECONDS = 10.0
_REMEDIES = {
    "address": "give HOST:PORT of a running cluster, or auto on one of its nodes",
    "token": "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to its own token",
    "broken": "install adiw-tune there, or use 'adiw-tune submit', which brings it along",
    "slow": "it or its disk may be busy: trials will start slowly there; run doctor again",
    "gone": "start it again, or go on without it",
    "versions": "install the same everywhere, as constraints.txt has it",
    "space": "put its files at the same path everywhere, or use 'adiw-tune submit'",
    "storage": "mount one directory at that path everywhere, or give --checkpoints a URL",
    "checkpoints": "give a directory or URL that every node can read and write",
    "tracking": "only the driver writes to MLflow: start searches where it answers",
    "GPU": "install torch with CUDA and a driver there, or start the node with --num-gpus=0",
}


@dataclass(frozen=True)
class Finding:
    """One line.

    Args:
        level: ``problem``: a search would meet it; ``note``: it may do without.
        subject: address, token, nodes, versions, space, storage, checkpoints, tracking or GPU.
        told: what is so, and what would help.
    """

    level: Level
    subject: str
    told: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.subject}: {self.told}"


@dataclass(frozen=True)
class Question:
    """What a search is to use.

    Args:
        address: of a running cluster, ``auto`` or HOST:PORT; None: Ray would start here.
        space: its file; None: not asked.
        storage: the directory of the searches.
        checkpoints: directory or URL for the trials' checkpoints; None: in the storage.
        tracking_uri: MLflow's.
    """

    address: str | None
    space: Path | None
    storage: Path
    checkpoints: str | None
    tracking_uri: str


def diagnose(question: Question) -> list[Finding]:
    """Look at this machine, and at each node of the cluster; takes four minutes at most."""
    space, files = _space(question.space)
    tracking = _tracking(question.tracking_uri)
    server = question.tracking_uri if is_server(question.tracking_uri) else None
    with ExitStack() as words:
        kept, places = _kept(question, Places(secrets.token_hex(8), None, server, files), words)
        try:
            nodes = _nodes(question.address, places)
        except Refused as refused:
            return [_refused(question.address, refused), *space, *kept, tracking]
    return [
        *_reached(question.address, nodes),
        _versions(nodes),
        *(_everywhere(finding, "files", nodes) for finding in space),
        *kept[:-1],
        _everywhere(kept[-1], "shared", nodes),
        _everywhere(tracking, "tracking", nodes, "note"),
        _gpus(nodes),
    ]


def _refused(address: str | None, refused: Refused) -> Finding:
    if address is None:
        return Finding("problem", "address", refused.told)
    return _problem(refused.subject, f"'{address}': {refused.told}")


def _problem(subject: str, told: str, level: Level = "problem") -> Finding:
    return Finding(level, subject, f"{told}: {_REMEDIES[subject]}")


def _space(path: Path | None) -> tuple[list[Finding], dict[str, str]]:
    """Whether it can be searched, and the user's own files that trials run."""
    if path is None:
        return [], {}
    try:
        configs = check_space(SpaceFile(path, seed=0))
    except UserError as error:
        return [Finding("problem", "space", str(error))], {}
    own = {config.task: "task" for config in configs}
    own |= {config.divergence: "divergence" for config in configs}
    files = {name: kind for name, kind in own.items() if is_file(name)}
    files |= {file: "labels" for config in configs for file in shift_files(config.shift)}
    named = f" with {', '.join(sorted(files))}" if files else ""
    return [Finding("ok", "space", f"'{path}'{named}")], files


def _tracking(uri: str) -> Finding:
    try:
        check_recordable(uri)
    except UserError as error:
        return Finding("problem", "tracking", str(error))
    return Finding("ok", "tracking", without_credentials(uri))


def _kept(question: Question, places: Places, words: ExitStack) -> tuple[list[Finding], Places]:
    """Where the record and the checkpoints go; trials must all find the last of them."""
    findings = []
    for subject, root in (
        ("storage", str(question.storage.absolute())),
        ("checkpoints", question.checkpoints and absolute(question.checkpoints)),
    ):
        if root is None:
            continue
        try:
            asked = replace(places, shared=_existing(root))
            in_time(partial(words.enter_context, word_left(asked)), _SECONDS)
        except Exception as error:  # whatever a file system raises
            told = f"cannot write to '{root}' ({in_one_line(error)})"
            findings.append(Finding("problem", subject, f"{told}: choose another place"))
            asked = places
        else:
            findings.append(Finding("ok", subject, root))
    return findings, asked


def _existing(root: str) -> str:
    """The directory itself, or where it would be made; a URL as it is."""
    if "://" in root:
        return root
    path = Path(root)
    while not _is_there(path):
        path = path.parent
    return str(path)


def _is_there(path: Path) -> bool:
    """Whether it is; an error where it could never be, as where its name is too long."""
    try:
        return bool(path.stat())
    except FileNotFoundError:
        return False


def _nodes(address: str | None, places: Places) -> list[Node]:
    if address is None:
        return [this_machine(places)]
    try:
        if place := cluster_place(address):
            socket.create_connection(place, _SECONDS).close()
    except UserError as error:
        raise Refused("address", str(error).removesuffix(f": {RIGHT_CLUSTER}")) from error
    except (OSError, UnicodeError) as error:  # the latter of what is no name of a host
        raise Refused("address", in_one_line(error)) from error
    return nodes_at(address, places)


def _reached(address: str | None, nodes: Sequence[Node]) -> list[Finding]:
    if address is None:
        told = "none is given, so Ray starts on this machine, as it did just now"
        return [Finding("ok", "address", told)]
    findings = [Finding("ok", "address", f"{len(nodes)} node(s) at '{address}'")]
    if os.environ.get("RAY_AUTH_MODE") == "token":
        findings.append(Finding("ok", "token", "accepted"))
    else:
        told = "the cluster asks for none, so that whoever reaches it can run code on it: start it "
        findings.append(Finding("note", "token", f"{told}with RAY_AUTH_MODE=token"))
    return findings + [_silent(node) for node in nodes if node.seen is None]


def _silent(node: Node) -> Finding:
    """One that is gone or slow keeps no search from running on the others, or there later."""
    state, how = node.silent
    level: Level = "problem" if state == "broken" else "note"
    return Finding(level, "nodes", f"{node.name} is {state}: {how}: {_REMEDIES[state]}")


def _versions(nodes: Sequence[Node]) -> Finding:
    ours = versions()
    unlike = [
        f"{node.name} has {name} {theirs.get(name)} where this one has {number}"
        for node in nodes
        if node.seen is not None
        for theirs in [node.seen.versions]
        for name, number in ours.items()
        if theirs.get(name) != number
    ]
    if unlike:
        return _problem("versions", "; ".join(unlike))
    names = ("python", "torch", "ray", "adiw-tune")
    return Finding("ok", "versions", ", ".join(f"{name} {ours[name]}" for name in names))


def _everywhere(
    here: Finding, what: str, nodes: Sequence[Node], level: Level = "problem"
) -> Finding:
    """What was found here, unless it is well here and not on some node."""
    wrong = [f"{n.name}: {n.seen.wrong[what]}" for n in nodes if n.seen and what in n.seen.wrong]
    if here.level != "ok" or not wrong:
        return here
    return _problem(here.subject, f"{here.told}, but on {'; '.join(wrong)}", level)


def _gpus(nodes: Sequence[Node]) -> Finding:
    blind = [n for n in nodes if n.seen is not None and n.seen.gpus < n.gpus]
    if blind:
        told = (
            f"{n.name} offers {n.gpus}, of which torch sees {n.seen.gpus}" for n in blind if n.seen
        )
        return _problem("GPU", "; ".join(told))
    total = sum(node.gpus for node in nodes)
    return Finding("ok", "GPU", str(total) if total else "none: trials run on the CPU")
