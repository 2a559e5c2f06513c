"""A user's own task, from a Python file."""

import inspect
import runpy
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Data, Network, Task
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.streamed import stream

_REQUIRED = ("train", "test", "model")
_ROWS = "(inputs, labels) tensors, or a Dataset of (tensor, int) pairs"


def is_file(name: str) -> bool:
    """Whether ``name`` is meant as the path of a Python file."""
    return name.endswith(".py")


def load_task(path: str) -> Task:
    """The task that the Python file ``path`` defines, which is run, once until it changes.

    It defines functions: ``train()`` and ``test()`` give rows, ``model()`` an nn.Module whose
    output is logits. Rows are a pair of tensors, inputs [n, ...] and labels [n], or three with
    groups [n], or a torch ``Dataset`` of (tensor, int) pairs, which is read as it is needed. A
    function that takes an argument is given the data directory, a Path or None.

    It may define as well ``reference()``: rows to trust, which the reference and select rows are
    drawn from, so that the rows of ``train()`` are trained on as they came;
    ``augment(inputs)``: changes training inputs [n, ...] at random; and ``CLASSES``,
    ``REFERENCE_SIZE`` and ``SELECT_SIZE``.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no task file '{path}': give a Python file with train, test and model")
    return _load(path, file.resolve(), file.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: str, file: Path, modified: int) -> Task:
    try:
        names = runpy.run_path(str(file))
    except (Exception, SystemExit) as error:
        raise UserError(f"task file '{path}' does not run: {_reason(error, file)}") from error
    missing = [name for name in _REQUIRED if not callable(names.get(name))]
    if missing:
        raise UserError(f"task file '{path}' must define {'() and '.join(missing)}()")
    for name in ("reference", "augment"):
        if not callable(names.get(name, _load)):
            raise UserError(f"'{name}' in task file '{path}' must be a function")
    own = _OwnFile(path, file, names)
    return Task(
        name=path,
        load=own.load,
        networks={"model": own.network},
        reference_size=own.number("REFERENCE_SIZE", 500),
        select_size=own.number("SELECT_SIZE", 500),
        augment=names.get("augment"),
    )


class _OwnFile:
    def __init__(self, path: str, file: Path, names: dict[str, Any]) -> None:
        self._path = path
        self._file = file
        self._names = names

    def load(self, data_dir: Path | None) -> Data:
        train, test = self._rows("train", data_dir), self._rows("test", data_dir)
        trusted = self._rows("reference", data_dir) if "reference" in self._names else None
        seen = (rows.labels for rows in (train, test, trusted) if rows is not None and len(rows))
        classes = max((int(labels.max()) + 1 for labels in seen), default=1)
        return Data(train, test, self.number("CLASSES", max(1, classes)), trusted)

    def network(self, shape: torch.Size, classes: int) -> Network:
        model = self._call("model")
        if not isinstance(model, nn.Module):
            raise UserError(
                f"model() of '{self._path}' gives {type(model).__name__}: give an nn.Module"
            )
        return model if isinstance(model, Network) else Watched(model)

    def number(self, name: str, default: int) -> int:
        number = self._names.get(name, default)
        if not isinstance(number, int) or number < 1:
            raise UserError(
                f"{name} in '{self._path}' must be a whole number above 0; got {number!r}"
            )
        return number

    def _rows(self, name: str, data_dir: Path | None) -> Rows:
        takes_folder = bool(inspect.signature(self._names[name]).parameters)
        given = self._call(name, *[data_dir] * takes_folder)
        where = f"{name}() of '{self._path}'"
        given = getattr(given, "tensors", given)  # a TensorDataset is in memory already
        if isinstance(given, tuple | list):
            return _in_memory(tuple(given), where)
        if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
            raise UserError(f"{where} gives {type(given).__name__}: give {_ROWS}")
        groups = getattr(given, "groups", None)
        rows = stream(given, groups)
        _check_columns(where, rows.labels, groups, len(given))
        return rows.relabelled(rows.labels.long())

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return self._names[name](*arguments)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{name}() of '{self._path}' fails: {_reason(error, self._file)}"
            ) from error


def _in_memory(given: tuple[Any, ...], where: str) -> Split:
    if len(given) not in (2, 3) or not all(isinstance(x, Tensor) for x in given):
        kinds = ", ".join(type(x).__name__ for x in given[:4])
        raise UserError(f"{where} gives ({kinds}): give {_ROWS}")
    inputs, labels, groups = (*given, None)[:3]
    _check_columns(where, labels, groups, len(inputs))
    return Split(inputs, labels.long(), None if groups is None else groups.long())


def _check_columns(where: str, labels: Tensor, groups: Tensor | None, rows: int) -> None:
    for what, column in (("labels", labels), ("groups", groups)):
        if column is None:
            continue
        if column.is_floating_point() or column.is_complex() or column.dtype == torch.bool:
            raise UserError(f"{what} of {where} are {column.dtype}: give int64")
        if column.shape != (rows,):
            raise UserError(f"{what} of {where} have shape {list(column.shape)}: give [{rows}]")


class Watched(Network):
    """Any module whose output is logits, as a :class:`Network`.

    Its features are what the last nn.Linear that a pass goes through is given; where there is
    none, the logits themselves.
    """

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)
        self.model = model
        self._given: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_pre_hook(self._watch)

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the last nn.Linear is given, [n, ...], and the logits, [n, classes]."""
        logits = self.model(x)
        features = self._given.pop() if self._given else logits
        self._given.clear()  # it would keep the graph of this pass alive
        return features, logits

    def _watch(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._given[:] = given[:1]


def _reason(error: BaseException, file: Path) -> str:
    """The error in one line, with the last line of ``file`` that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    where = f" (line {lines[-1]})" if lines else ""
    return " ".join(f"{type(error).__name__}: {error}".split()) + where
