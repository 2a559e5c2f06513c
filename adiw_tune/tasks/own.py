"""A user's own task, from a Python file."""

import inspect
import operator
import os
from collections.abc import Callable
from functools import lru_cache, partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError, told_as
from adiw_tune.metrics import OWN, Metric, Predictions, find_metric
from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.names import REQUIRED, name_remarks
from adiw_tune.tasks.targets import KINDS
from adiw_tune.tasks.user_rows import ROWS, Given, settled, taken
from adiw_tune.tasks.watched import Watched
from adiw_tune.user_file import importing_from_beside, run_file, why

_HOLDING = "train(), test() and model()"
_FUNCTIONS = ("reference", "augment", "loss", "metric", "optimizer", "scheduler")
_SIGNATURES = {"optimizer": "optimizer(model, config)", "scheduler": "scheduler(optimizer, steps)"}
_OPTIMIZER = ("zero_grad", "step", "state_dict", "load_state_dict")
_SCHEDULER = ("step", "state_dict", "load_state_dict")


def load_task(path: str) -> Task:
    """The task that the Python file ``path`` defines. The file runs once, and again if it changes.

    It defines functions: ``train()`` and ``test()`` give rows, ``model()`` an nn.Module whose
    output is logits, or has them as ``logits``. Rows are a pair of inputs and labels, or three with
    groups [n]; or a torch ``Dataset`` of such pairs, which is read as it is needed, and may have a
    ``collate_fn``. Inputs are a tensor or array [n, ...], or dicts and tuples of such; see
    :func:`adiw_tune.tasks.nests.call` for how the module is given them. Labels are class numbers
    or names [n], 0 and 1 [n, k], or real values [n] or [n, k]. A function that has a parameter
    without a default, or one called ``data_dir``, is given the data directory, a Path or None.

    It may also define:

    - ``reference()``: clean rows. Reference and select rows are then drawn from these, and all
      rows of ``train()`` are trained on.
    - ``augment(inputs)``: changes training inputs [n, ...] at random.
    - ``loss(outputs, targets)``: one loss a row, [n], for the weights and for training, from the
      module's outputs as they are.
    - ``optimizer(model, config)``: the optimiser, from the module and the configuration.
    - ``scheduler(optimizer, steps)``: the scheduler of ``steps`` updates, stepped after each.
    - ``metric(outputs, targets, groups)``: its own metric, a float, from CPU tensors. For
      binary and real targets the outputs are reshaped to the shape of the targets.
      ``GREATER_IS_BETTER``, True by default, is its direction.
    - ``METRIC``: the name of the metric that searches use; by default its own, if there is one.
    - ``TARGETS``: the kind of labels, a key of :data:`adiw_tune.tasks.targets.KINDS`, if the labels
      do not tell it.
    - ``CLASSES``, ``REFERENCE_SIZE``, ``SELECT_SIZE``: whole numbers above 0.

    Arguments of ``model`` are settings that a configuration may give. The task's remarks name what
    the file defines without effect.
    """
    file = Path(path)
    return _load(path, file.resolve(), os.stat(file).st_mtime_ns if os.path.isfile(file) else 0)


@lru_cache(maxsize=32)
def _load(path: str, file: Path, modified: int) -> Task:
    names = run_file(Path(path), "task", _HOLDING)
    missing = [name for name in REQUIRED if not callable(names.get(name))]
    if missing:
        raise UserError(f"task file '{path}' must define {'() and '.join(missing)}()")
    for name in _FUNCTIONS:
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
        loss=names.get("loss"),
        remarks=tuple(name_remarks(file, names)),
        model=names["model"],
        optimizer=own.optimizer if "optimizer" in names else None,
        scheduler=own.scheduler if "scheduler" in names else None,
        own_metric=own.metric(),
        metric=own.chosen_metric(),
    )


class _OwnFile:
    def __init__(self, path: str, file: Path, names: dict[str, Any]) -> None:
        self._path = path
        self._file = file
        self._names = names

    def load(self, data_dir: Path | None) -> Data:
        has_reference = "reference" in self._names
        return settled(
            self._rows("train", data_dir),
            self._rows("test", data_dir),
            self._rows("reference", data_dir) if has_reference else None,
            targets=self._targets(),
            classes=self.number("CLASSES", 0) or None,
            own_loss="loss" in self._names,
        )

    def _targets(self) -> str | None:
        kind = self._names.get("TARGETS")
        if kind is not None and kind not in [*KINDS]:  # a list, as it may be of no type to look up
            raise UserError(
                f"TARGETS in '{self._path}' must be one of {', '.join(KINDS)}; got {kind!r}"
            )
        if kind == "own" and "loss" not in self._names:
            raise UserError(f"TARGETS in '{self._path}' is own: define loss(outputs, targets) too")
        return kind

    def network(self, shape: torch.Size, classes: int, /, **settings: Any) -> Network:
        model = self._call("model", partial(self._names["model"], **settings))
        if not isinstance(model, nn.Module):
            raise UserError(
                f"model() of '{self._path}' gives {type(model).__name__}: give an nn.Module"
            )
        return model if isinstance(model, Network) else Watched(model)

    def optimizer(self, module: nn.Module, config: Any) -> Any:
        return self._made("optimizer", _OPTIMIZER, module, config)

    def scheduler(self, optimizer: Any, steps: int) -> Any:
        return self._made("scheduler", _SCHEDULER, optimizer, steps)

    def _made(self, name: str, methods: tuple[str, ...], *given: Any) -> Any:
        function = self._names[name]
        try:
            inspect.signature(function).bind(*given)
        except TypeError:
            raise UserError(
                f"{name}() of '{self._path}' is called as {_SIGNATURES[name]}: give it these "
                "parameters"
            ) from None
        made = self._call(name, partial(function, *given))
        if missing := [one for one in methods if not callable(getattr(made, one, None))]:
            raise UserError(
                f"{name}() of '{self._path}' gives {type(made).__name__}, which has no "
                f"{missing[0]}(): give an object with the methods of torch.optim's"
            )
        return made

    def number(self, name: str, default: int) -> int:
        if name not in self._names:
            return default
        number = self._names[name]
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
            if "GREATER_IS_BETTER" in self._names:
                raise UserError(
                    f"GREATER_IS_BETTER in '{self._path}' needs metric(), which the file does not "
                    "define: define metric(), or leave GREATER_IS_BETTER out"
                )
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
        arrays = (*predictions.in_task_shape, predictions.groups)
        # Copies: what a user's function writes into is its own.
        tensors = [None if array is None else torch.tensor(array) for array in arrays]
        given = self._call("metric", partial(self._names["metric"], *tensors))
        if isinstance(given, Tensor | np.ndarray | np.generic) and given.ndim == 0:
            given = given.item()
        kind = type(given).__name__
        if isinstance(given, Tensor | np.ndarray):
            kind += f" {list(given.shape)}"
        # A bool is a Real to Python, and to float() a string may be a number.
        if isinstance(given, bool) or not isinstance(given, Real):
            raise UserError(f"metric() of '{self._path}' gives {kind}: give a float")
        try:
            return float(given)
        except OverflowError:
            raise UserError(
                f"metric() of '{self._path}' gives an {kind} too large for a float: give a finite "
                "float"
            ) from None

    def _rows(self, name: str, data_dir: Path | None) -> Given:
        where = f"{name}() of '{self._path}'"
        try:
            given = self._call(name, partial(_given_folder, self._names[name], data_dir))
        except UserError as error:
            if data_dir is None and _asks_for_folder(self._names[name]) and "None" in str(error):
                raise UserError(
                    f"{error}; data_dir is None: if {name}() needs a directory, give --data-dir"
                ) from error
            raise
        fails = f"{where} gives {type(given).__name__}, which fails"
        # What it asks of an object of the user's, such as its `targets`, is that one's code too.
        with told_as(lambda error: f"{fails} ({why(error, self._file)}): give {ROWS}"):
            return taken(given, where)

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
    if "data_dir" in inspect.signature(function).parameters:
        return function(data_dir=data_dir)
    return function(data_dir) if _asks_for_folder(function) else function()


def _asks_for_folder(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return "data_dir" in parameters or any(
        p.kind in positional and p.default is p.empty for p in parameters.values()
    )
