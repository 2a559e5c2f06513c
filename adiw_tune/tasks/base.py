"""A task: data that is given roles, and a network that shows its features."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.metrics import Metric
from adiw_tune.tasks.checks import row_problems
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.nests import Nest, call, leaves
from adiw_tune.tasks.overlap import overlap_problems
from adiw_tune.tasks.rows import loaded
from adiw_tune.tasks.shifts import Shift, Training
from adiw_tune.tasks.splits import Splits
from adiw_tune.tasks.targets import RowLoss


class Network(nn.Module):
    """``head(features(x))``, in two parts so that weights can be estimated on the features."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Nest) -> Tensor:
        """Logits [n, classes], or what the task's kind of targets asks for."""
        return self.outputs(x)[1]

    @property
    def module(self) -> nn.Module:
        """What a user makes: what is saved of it, its ``load_state_dict`` takes."""
        return self

    def outputs(self, x: Nest) -> tuple[Tensor, Tensor]:
        """What the head is given, [n, ...], and the logits that it makes of it, [n, classes]."""
        features = call(self.features, x)
        return features, self.head(features)


class LoadData(Protocol):
    """Reads a task's data."""

    def __call__(self, data_dir: Path | None) -> Data:
        """Read from ``data_dir``, or from where the task looks by itself."""
        ...


MakeNetwork = Callable[..., Network]
_SET_SIZES = (
    "set them as REFERENCE_SIZE and SELECT_SIZE in a task file, as reference_size and select_size "
    "in a space, or by --reference-size and --select-size of train"
)


@dataclass(frozen=True)
class Task:
    """A data set, a network for it, and the sizes of its clean splits.

    Args:
        name: what the command line and records call it.
        load: reads the data.
        networks: name -> function (shape, classes, **settings) that makes an untrained network;
            the first is the default. ``shape`` is that of one row's inputs, of a nest that of its
            first tensor by name; ``settings`` are given only where there is a ``model``.
        reference_size: default number of reference rows.
        select_size: default number of select rows.
        augment: changes the inputs of a mini-batch at random, [n, ...] -> [n, ...], of a nest
            all at once, on their device, drawing from torch's global generators; None for none.
            Applied to training and reference rows alike, since their losses are compared.
        loss: of (outputs, targets), both [n, ...], one a row: [n], which weighs and trains; None
            for that of the kind of targets, see :func:`adiw_tune.tasks.targets.row_loss`.
        default_shift: the shift where the user names none, as :func:`parse_shift` reads it. Clean
            public rows are shifted, or there would be nothing to weight; a user's own are used
            as they came.
        remarks: on the file that defines it, if one does: what it says in vain, one line each.
        model: a user's function whose arguments are the settings of the network; None where it
            has none.
        optimizer: makes an optimiser of (the user's module, the configuration of the run), with
            the methods of torch's; None where the file has no such function.
        scheduler: makes a learning-rate scheduler of (optimiser, updates of the run), which steps
            after each update; None likewise.
        own_metric: the file's own metric, if it defines one.
        metric: the name of the one that its file has searches choose by; None for the default of
            its kind of targets.
    """

    name: str
    load: LoadData
    networks: Mapping[str, MakeNetwork]
    reference_size: int
    select_size: int
    augment: Callable[[Nest], Nest] | None = None
    loss: RowLoss | None = None
    default_shift: str = "none"
    remarks: Sequence[str] = ()
    model: Callable[..., object] | None = None
    optimizer: Callable[[nn.Module, Any], Any] | None = None
    scheduler: Callable[[Any, int], Any] | None = None
    own_metric: Metric | None = None
    metric: str | None = None

    def network(
        self, splits: Splits, name: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> Network:
        """An untrained network for these rows, drawn from torch's global generator.

        ``name`` is a key of ``networks``; None takes the first. ``settings`` are its own.
        """
        if name is None:
            name = next(iter(self.networks))
        self.check_network(name)
        shape = leaves(splits.reference.inputs)[0].shape[1:]
        return self.networks[name](shape, splits.classes, **(settings or {}))

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that the network does not take."""
        if not settings:
            return
        if self.model is None:
            raise UserError(
                f"task '{self.name}' has no settings of its network: leave model out, or write a "
                "task file with model(width=64)"
            )
        signature = inspect.signature(self.model)
        try:
            signature.bind(**settings)
        except TypeError as error:
            takes = ", ".join(signature.parameters) or "no arguments"
            raise UserError(f"model() of '{self.name}' takes {takes}: {error}") from error

    def check_network(self, name: str) -> None:
        """Refuse the name of a network that this task does not have."""
        if name not in self.networks:
            raise UserError(
                f"task '{self.name}' has no network '{name}': "
                f"choose one of {', '.join(self.networks)}"
            )

    def splits(
        self,
        shift: Shift,
        seed: int,
        reference_size: int | None = None,
        select_size: int | None = None,
        data_dir: Path | None = None,
        *,
        folds: int = 1,
        fold: int = 0,
    ) -> Splits:
        """Draw the clean roles at random, then shift what is left for training.

        Both draws are fixed by ``seed``. Rows that training could not work with are refused, as
        far as :func:`row_problems` and :func:`overlap_problems` tell.

        Args:
            shift: of the training rows.
            seed: of the draws.
            reference_size: in rows; None takes the task's default.
            select_size: likewise.
            data_dir: where to look for data first.
            folds: at least 2 for cross-fitting: the clean rows, as many as both sizes together,
                are cut into so many equal parts (to one row), one of which is the select rows and
                the others the reference rows. Training rows are the same in every fold. Where
                clean rows stand apart and both sizes are None, all of them are used.
            fold: which part the select rows are, in [0, folds).
        """
        data = self.load(data_dir)
        for problem in _problems(data):
            raise UserError(f"task '{self.name}': {problem}")
        sizes = self.clean_sizes(data, reference_size, select_size, folds)
        clean = data.rows if data.trusted is None else data.trusted
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(clean), generator=generator)
        *parts, rest = order.split([*sizes, len(clean) - sum(sizes)])
        select = parts.pop(fold if folds > 1 else 1)
        rows = data.rows.take(rest) if data.trusted is None else data.rows
        index = rest if data.trusted is None else torch.arange(len(data.rows))
        shifted = shift.apply(Training(data, index, rows.labels), generator)
        return Splits(
            train=rows.take(shifted.kept).relabelled(shifted.labels),
            reference=loaded(clean.take(torch.cat(parts))),
            select=clean.take(select),
            test=data.test,
            classes=data.classes,
            targets=data.targets,
            names=data.names,
            numbers=index[shifted.kept],
        )

    def clean_sizes(
        self,
        data: Data,
        reference_size: int | None = None,
        select_size: int | None = None,
        folds: int = 1,
    ) -> list[int]:
        """How many rows to draw: for reference and select, or for each of several ``folds``.

        Arguments are those of :meth:`splits`. Refused where ``data`` has too few rows for them.
        """
        if folds > 1 and data.trusted is not None and reference_size is select_size is None:
            return _equal_parts(len(data.trusted), folds)
        reference = self.reference_size if reference_size is None else reference_size
        select = self.select_size if select_size is None else select_size
        for role, size in (("reference_size", reference), ("select_size", select)):
            if size < 1:
                raise UserError(f"{role} must be at least 1; got {size}")
        if data.trusted is not None and reference + select > len(data.trusted):
            raise UserError(
                f"reference_size {reference} and select_size {select} are more than the "
                f"{len(data.trusted)} clean rows of task '{self.name}': {_SET_SIZES}"
            )
        if data.trusted is None and reference + select >= len(data.rows):
            raise UserError(
                f"reference_size {reference} and select_size {select} leave no training rows: "
                f"task '{self.name}' has {len(data.rows)}, so their sum must be below that; "
                f"{_SET_SIZES}"
            )
        return _equal_parts(reference + select, folds) if folds > 1 else [reference, select]


def _problems(data: Data) -> Iterator[str]:
    yield from row_problems(data)
    yield from overlap_problems(data.roles)  # which takes rows that have no other problem


def _equal_parts(rows: int, folds: int) -> list[int]:
    """The sizes of ``folds`` parts of ``rows``, which differ by at most 1."""
    if rows < folds:
        raise UserError(f"folds must be at most the number of clean rows, {rows}; got {folds}")
    return [rows // folds + (part < rows % folds) for part in range(folds)]
