"""A user's own task, from a Python file."""

import inspect
import operator
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError, told_as
from adiw_tune.metrics import OWN, Metric, Predictions, find_metric
from adiw_tune.tasks.base import Data, Network, Task
from adiw_tune.tasks.items import as_column, read_labels, without_values
from adiw_tune.tasks.names import REQUIRED, name_remarks
from adiw_tune.tasks.rows import Rows, Split
from adiw_tune.tasks.streamed import stream
from adiw_tune.tasks.watched import Watched
from adiw_tune.user_file import importing_from_beside, run_file, why

_HOLDING = "train(), test() and model()"
_ROWS = "(inputs, labels) tensors, or a Dataset of (tensor, int) pairs"


def load_task(path: str) -> Task:
    """The task that the Python file ``path`` defines, which is run, once until it changes.

    It defines functions: ``train()`` and ``test()`` give rows, ``model()`` an nn.Module whose
    output is logits. Rows are a pair of tensors, inputs [n, ...] and labels [n], or three with
    groups [n], or a torch ``Dataset`` of (tensor, int) pairs, which is read as it is needed. A
    function that has a parameter without a default, or one called ``data_dir``, is given the data
    directory, a Path or None.

    It may define as well ``reference()``: rows to trust, which the reference and select rows are
    drawn from, so that the rows of ``train()`` are trained on as they came;
    ``augment(inputs)``: changes training inputs [n, ...] at random; ``CLASSES``,
    ``REFERENCE_SIZE`` and ``SELECT_SIZE``; ``METRIC``: the name of the metric that searches choose
    by; and ``metric(outputs, targets, groups)``: one of its own, a float of CPU tensors, with
    ``GREATER_IS_BETTER``, by default True. It is then chosen by, unless ``METRIC`` names another.
    What else it defines in vain is in the task's remarks.
    """
    file = Path(path)
    return _load(path, file.resolve(), os.stat(file).st_mtime_ns if os.path.isfile(file) else 0)


@lru_cache(maxsize=32)
def _load(path: str, file: Path, modified: int) -> Task:
    names = run_file(Path(path), "task", _HOLDING)
    missing = [name for name in REQUIRED if not callable(names.get(name))]
    if missing:
        raise UserError(f"task file '{path}' must define {'() and '.join(missing)}()")
    for name in ("reference", "augment", "metric"):
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
        remarks=tuple(name_remarks(file, names)),
        own_metric=own.metric(),
        metric=own.chosen_metric(),
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
        model = self._call("model", self._names["model"])
        if not isinstance(model, nn.Module):
            raise UserError(
                f"model() of '{self._path}' gives {type(model).__name__}: give an nn.Module"
            )
        return model if isinstance(model, Network) else Watched(model)

    def number(self, name: str, default: int) -> int:
        number = self._names.get(name, default)
        try:
            whole = operator.index(number)
        except TypeError:
            whole = 0
        if whole < 1 or isinstance(number, bool):
            raise UserError(
                f"{name} in '{self._path}' must be a whole number above 0; got {number!r}"
            )
        return whole

    def metric(self) -> Metric | None:
        if "metric" not in self._names:
            return None
        greater = self._names.get("GREATER_IS_BETTER", True)
        if not isinstance(greater, bool):
            raise UserError(
                f"GREATER_IS_BETTER in '{self._path}' must be True or False; got {greater!r:.100}"
            )
        return Metric(OWN, greater, compute=self._measured)

    def chosen_metric(self) -> str | None:
        name = self._names.get("METRIC", OWN if "metric" in self._names else None)
        if name is None:
            return None
        if name == OWN and "metric" not in self._names:
            raise UserError(f"METRIC in '{self._path}' is '{OWN}': define {OWN}(), or name another")
        try:
            return find_metric(str(name)).name
        except UserError as error:
            raise UserError(f"METRIC in '{self._path}': {error}") from None

    def _measured(self, predictions: Predictions) -> float:
        arrays = (predictions.outputs, predictions.targets, predictions.groups)
        # Copies: what a user's function writes into is its own.
        tensors = [None if array is None else torch.tensor(array) for array in arrays]
        given = self._call("metric", partial(self._names["metric"], *tensors))
        try:
            return float(given)
        except (TypeError, ValueError, RuntimeError):  # the latter of a tensor of several numbers
            kind = type(given).__name__
            raise UserError(f"metric() of '{self._path}' gives {kind}: give a float") from None

    def _rows(self, name: str, data_dir: Path | None) -> Rows:
        given = self._call(name, partial(_given_folder, self._names[name], data_dir))
        where = f"{name}() of '{self._path}'"
        fails = f"{where} gives {type(given).__name__}, which fails"
        # What it asks of an object of the user's, such as its `targets`, is that one's code too.
        with told_as(lambda error: f"{fails} ({why(error, self._file)}): give {_ROWS}"):
            return _taken(given, where)

    def _call(self, name: str, function: Callable[[], Any]) -> Any:
        fails = f"{name}() of '{self._path}' fails"
        with told_as(lambda error: f"{fails}: {why(error, self._file)}"):
            with importing_from_beside(self._file):
                given = function()
            if inspect.iscoroutine(given):  # of async def
                given.close()  # or Python warns that nobody awaited it
            return given


def _given_folder(function: Callable[..., Any], data_dir: Path | None) -> Any:
    """What ``function`` gives, which is called with the data directory if it asks for one."""
    parameters = inspect.signature(function).parameters
    if "data_dir" in parameters:
        return function(data_dir=data_dir)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    asks = any(p.kind in positional and p.default is p.empty for p in parameters.values())
    return function(data_dir) if asks else function()


def _taken(given: Any, where: str) -> Rows:
    given = getattr(given, "tensors", given)  # a TensorDataset is in memory already
    if isinstance(given, tuple | list):
        return _in_memory(tuple(given), where)
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise UserError(f"{where} gives {type(given).__name__}: give {_ROWS}")
    labels, groups = read_labels(given, where), getattr(given, "groups", None)
    if groups is not None:
        groups = as_column(groups, f"groups of {where}", len(labels))
    return stream(given, labels, groups, where)


def _in_memory(given: tuple[Any, ...], where: str) -> Split:
    if len(given) not in (2, 3) or not all(isinstance(x, Tensor) for x in given):
        kinds = ", ".join(type(x).__name__ for x in given[:4])
        raise UserError(f"{where} gives ({kinds}): give {_ROWS}")
    inputs, labels, groups = (*given, None)[:3]
    kind = without_values(inputs)
    if kind is not None or inputs.ndim == 0:
        raise UserError(
            f"inputs of {where} are {kind or 'a single number'}: give a dense tensor [n, ...]"
        )
    n = len(inputs)
    return Split(
        inputs.detach(),
        as_column(labels, f"labels of {where}", n),
        None if groups is None else as_column(groups, f"groups of {where}", n),
    )
