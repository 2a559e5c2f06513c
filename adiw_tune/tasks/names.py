"""Names in a task file that look like one of its hooks, or like a hook that there is not."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import FunctionType
from typing import Any

REQUIRED = ("train", "test", "model")
OPTIONAL = (
    "reference",
    "augment",
    "loss",
    "metric",
    "optimizer",
    "scheduler",
    "METRIC",
    "GREATER_IS_BETTER",
    "TARGETS",
    "CLASSES",
    "REFERENCE_SIZE",
    "SELECT_SIZE",
)


def name_remarks(file: Path, names: Mapping[str, Any]) -> Iterator[str]:
    """What the task ``file`` defines in vain, one line each. It has run, and left ``names``.

    Only what the file itself defines at its top level is looked at, and nothing that begins with
    an underscore. Told are functions and upper-case constants that neither are hooks nor are used
    in the file; whatever is not used and differs from a missing hook in a letter or in its case;
    and a name that is used, if it differs from a missing hook in a letter and not in its case.
    """
    tree = ast.parse(file.read_bytes())
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    used = {node.id for node in read if isinstance(node.ctx, ast.Load)}
    missing = [hook for hook in OPTIONAL if hook not in names]
    for name, by_def in dict(_defined(tree.body)).items():
        if name in (*REQUIRED, *OPTIONAL) or name.startswith("_") or name not in names:
            continue
        function = by_def or isinstance(names[name], FunctionType)
        told = function or name.isupper()
        meant = _meant(name, missing, name in used, told)
        written = f"{name}()" if function else name
        if meant:
            yield f"{written} means nothing in a task file: did you mean {meant}?"
        elif told and name not in used:
            yield (
                f"{written} is not used, and means nothing in a task file, which may define "
                f"{', '.join(REQUIRED)}, {', '.join(OPTIONAL)}"
            )


def _meant(name: str, hooks: list[str], used: bool, told: bool) -> str | None:
    """The hook that ``name`` is a misspelling of, if it is."""
    if used:
        return next(iter(get_close_matches(name, hooks, 1, 0.9)), None)
    # Of two that differ in their case alone the one that is written as the name is: it comes last.
    alike = sorted(hooks, key=lambda hook: hook.isupper() == name.isupper())
    by_capitals = {hook.upper(): hook for hook in alike}
    close = get_close_matches(name.upper(), by_capitals, 1, 0.7 if told else 0.9)
    return by_capitals[close[0]] if close else None


def _defined(body: Iterable[ast.AST]) -> Iterator[tuple[str, bool]]:
    """Names that statements define outside of functions and classes, and whether by ``def``."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, True
        elif isinstance(node, ast.ClassDef):
            yield node.name, False
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, False
        elif not isinstance(node, ast.expr) or isinstance(node, ast.Tuple | ast.List | ast.Starred):
            yield from _defined(ast.iter_child_nodes(node))
