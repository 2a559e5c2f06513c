"""Every option and argument of every command, and the kinds of badness that its type can have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import adiw_tune.cli  # noqa: F401 - it registers them
from adiw_tune.cli.app import app, command_line

LONG = "x" * 300  # no file may be called so
ESCAPES = "\x1b[31mx\x1b]0;y\x07"
NO_TEXT = "\udcff"  # a byte of a command line that Python could not decode
DEAD = "127.0.0.1:9"  # where nothing listens

_OF_TYPE: dict[Any, tuple[str, ...]] = {
    int: ("x", "1.5", "-1", "0", "1" + 30 * "0"),
    float: ("x", "nan", "inf", "-1", "0", "1e-320", "1e300"),
    str: ("", ESCAPES, LONG, NO_TEXT),
    Path: ("", ESCAPES, LONG, NO_TEXT, "file/x"),
}
_OF_NAME: dict[str, tuple[str, ...]] = {
    "address": ("http://[::1", "127.0.0.1:²", "h:99999", ":6379", "h o:1", "ray://h:1", "[::1:1"),
    "tracking_uri": ("http://[::1", "http://h:²", "sqlite:///:memory:", "ftp://h", "s3://[bad"),
    "checkpoints": ("s3://[bad", "github://x", "memory://x", "http://[::1", "/dev/full"),
    "budget": ("0s", "inf", "$5", 400 * "9" + "h", "1e3h", "²h", "0.1s", "1.1.1m"),
    "policy": ("best", "knee=1", "best-under=inf", "best-under=1e-320", "fastest-within=nan"),
    "metric": ("f2", "Accuracy"),
    "name": (252 * "x", 120 * "é", "a/b", "..", "a\nb"),
    "seeds": ("2",),  # say nothing of their spread
    "shift": ("pair:nan", "pair:1", "class-prior:inf", "none+none:1", "pair:0.1+"),
    "output": ("/dev/full", "/dev/null", "no/where/x", "data"),
    "rows": ("/dev/full", "/dev/null", "no/where/x", "data", "file"),
    "values": ("²", "0", "1e9", "1,,2", "1" + 30 * "0"),
    "trial": ("-", "99", "t99", "²"),
    "dial": ("learning-rate",),
    "device": ("tpu",),
    "pip": ("none.txt", "pkg @ https://me:s3cret@h/p.whl"),
    "env": ("NOT_SET",),
    "task": ("mnist", "file.py", f"{LONG}.py"),
    "divergence": ("js", "file.py", f"{LONG}.py"),
    "data_dir": ("file", "/dev/full"),
    "storage": ("/dev/full",),
}


@dataclass(frozen=True)
class Parameter:
    """One option or argument, and bad values of it."""

    command: str
    name: str
    option: str | None  # None: an argument
    switch: bool
    bad: tuple[str, ...]


def parameters() -> Iterator[Parameter]:
    """All that the app has; what is new in it comes by itself."""
    for registered in app.registered_commands:
        function = registered.callback
        assert function is not None
        command = registered.name or function.__name__.replace("_", "-")
        annotated = signature(function, eval_str=True).parameters
        for option in command_line().commands[command].params:
            kinds = tuple(_kinds(annotated[option.name].annotation))
            own = _OF_NAME.get(option.name, ()) if bool not in kinds else ()
            bad = dict.fromkeys([*(word for kind in kinds for word in _of_type(kind)), *own])
            is_option = option.param_type_name == "option"
            yield Parameter(
                command,
                option.name,
                option.opts[0] if is_option else None,
                bool in kinds,
                tuple(bad),
            )


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, without None."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        yield Literal
    elif get_args(annotation):
        for inner in get_args(annotation):
            yield from _kinds(inner)
    elif annotation is not type(None):
        yield annotation


def _of_type(kind: Any) -> tuple[str, ...]:
    if kind is Literal:
        return ("", "xml")
    if kind is bool:
        return ("x", "")
    return _OF_TYPE[kind]  # another type needs a line above


@dataclass(frozen=True)
class Base:
    """A command line that is right but for one thing, told last, so that nothing ever starts.

    Args:
        given: values of its parameters.
        last: what is told of that one thing; "" where it is all right, and prints at once.
    """

    given: dict[str, str] = field(default_factory=dict)
    last: str = ""


DEAD_CLUSTER = f"no Ray cluster at '{DEAD}'"
ANSWERS_NOT = "tracking server http://127.0.0.1:9 does not answer"
NO_ROWS = "has no finished run of trial"
BASES = {
    "best": Base({"name": "over"}),
    "check-divergence": Base({"file": "mmd"}),
    "check-task": Base({"file": "digits"}),
    # Without an address it would start Ray each time.
    "doctor": Base({"space": "good.py", "address": DEAD}, f"'{DEAD}': ConnectionRefusedError"),
    "extend": Base({"name": "running", "trials": "1"}, "search 'running' is running already"),
    "finalize": Base({"name": "over"}, "the test split of 'over' was read on"),
    "front": Base({"name": "over"}),
    "logs": Base({"name": "s", "address": DEAD}, DEAD_CLUSTER),
    "plan": Base({"space": "damaged.py"}, "ubyte.gz' is damaged"),
    "replay": Base({"table": "over"}, "were cut, and nobody knows"),
    "rerun": Base({"name": "over", "trial": "0"}, "trial t0 cannot be repeated here"),
    "resume": Base({"name": "running"}, "search 'running' is running already"),
    "rows": Base({"name": "over"}, NO_ROWS),
    "scale": Base({"dial": "steps", "from_search": "over"}, ANSWERS_NOT),
    "search": Base(
        {"space": "good.py", "name": "s", "storage": "/proc/no"},
        "cannot write to storage '/proc/no'",
    ),
    "status": Base({"name": "s", "address": DEAD}, DEAD_CLUSTER),
    "stop": Base({"name": "s", "address": DEAD}, DEAD_CLUSTER),
    "submit": Base({"space": "good.py", "name": "s", "address": DEAD}, DEAD_CLUSTER),
    "train": Base({"task": "fashion-mnist"}, "ubyte.gz' is damaged"),
    "ui": Base({"name": "over"}, ANSWERS_NOT),
}
# Where the base would not come to the parameter, or does not go with it.
ANOTHER_BASE = {
    ("resume", "checkpoints"): Base({"name": "gone"}),
    ("rows", "output"): Base({"name": "over", "kind": "csv"}, NO_ROWS),
    ("search", "price"): Base({**BASES["search"].given, "budget": "$5"}, BASES["search"].last),
    ("search", "storage"): Base(
        {"space": "good.py", "name": "s", "tracking_uri": f"http://{DEAD}"}, ANSWERS_NOT
    ),
    ("submit", "price"): Base({**BASES["submit"].given, "budget": "$5"}, DEAD_CLUSTER),
    ("train", "policy"): Base({"from_search": "over"}),
    ("train", "storage"): Base({"from_search": "over"}),
}
