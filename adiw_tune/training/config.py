"""The one thing that, with the device, fixes a training run."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from adiw_tune.divergences import make_divergence
from adiw_tune.errors import UserError
from adiw_tune.ranges import FLOAT32, check_number, check_positive, check_whole, shown
from adiw_tune.tasks import find_task, located_shift, parse_shift
from adiw_tune.user_file import is_file
from adiw_tune.weights import FeasibleSet, WeightSolver

METHODS = (
    "adiw",
    "giw",
    "diw",
    "diw-published",
    "l2rw",
    "static",
    "random",
    "erm",
    "clean-only",
)
AUTO = "auto"  # in place of a divergence's name: several mixed, by what helps held-out rows
DEFAULT_SHIFT = "default"
MOST_EPOCHS = 1_000_000
_MOST_RIDGE = 1e6  # weights of 1, to seven digits
_MOST_ROWS = 10**9  # a mini-batch that asks for more than there are has all
_MOST_SEED = 2**62  # for torch, a few added
WARM_STARTS = ("off", "memory", "decay")
REPRESENTATIONS = ("loss", "feature")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class TrialConfig:
    """A validated training run: data, method, weights, optimisation and seed.

    Args:
        task: a name of :data:`adiw_tune.tasks.TASKS`, or the path of a Python file that is one.
        network: one of the task's; None for its first.
        shift: as :func:`adiw_tune.tasks.parse_shift` reads it, such as pair:0.45; default stands
            for the task's own, which is none for a user's rows, and is replaced by it.
        method: adiw, or what it is compared with: giw (adiw, with the reference rows out of the
            training rows' support trained on), diw (the QP, with a ridge, solved exactly in each
            mini-batch), diw-published (as its authors' code runs it), l2rw (learning to reweight),
            static (weights once, after the warm-up), random (adiw's weights dealt out at random),
            erm (all weights 1), clean-only (trained on the reference rows alone, with as many
            updates).
        divergence: what is minimised: a name of :data:`adiw_tune.divergences.DIVERGENCES`, the
            path of a Python file that defines one, or auto, for adiw, giw and random: a mixture
            learnt while training. diw and diw-published have mmd only.
        steps: projected-gradient steps in each mini-batch, in [1, 10^6].
        step_size: of one such step, dimensionless, in [1e-6, 2); 1 is 1/L.
        bandwidth: kernel width in units of the median pairwise distance, in [1e-6, 1e6]; None is
            the representation's (:data:`adiw_tune.divergences.DEFAULT_BANDWIDTHS`), and the only
            choice for a divergence without a kernel.
        ridge: λ of λ mean((w - 1)²)/2, which diw adds to what it solves, in [0, 10^6]; None is
            0.01, and the only choice for other methods.
        warm_start: where the steps start: off (at 1), memory (at the sample's last weight) or
            decay (at 1 + decay * (last weight - 1)).
        decay: in (0, 1); of no effect unless warm_start is decay.
        warmup_epochs: how many first epochs run with w = 1, in [0, 10^6].
        representation: what weights are estimated on: loss (one number a sample) or feature (the
            last hidden layer together with the label).
        cap: largest weight, in [1, 1e6].
        slack: how far the mean weight may be from 1, in [0, 1).
        epochs: passes over the training rows, in [1, 10^6].
        batch_size: training rows in a mini-batch, in [1, 10^9]; of fewer rows it has all.
        reference_batch_size: reference rows in a mini-batch, likewise.
        learning_rate: Adam's, in [1e-38, 1e38], which is what float32 holds.
        precision: of the network's passes, float32 or bfloat16.
        compiled: whether the weight step is compiled, see
            :class:`adiw_tune.weights.ImportanceWeighter`: for adiw, giw and random.
        reference_size, select_size: rows in these splits; None for the task's default. Where folds
            is 2 or more, only their sum counts: how many clean rows there are in all. Both None
            are then all rows of a task whose clean rows stand apart.
        folds: 1, or 2 and more for cross-fitting, which is for few clean rows: the reference rows
            set the weights, so no row may both weigh and select, and yet all are needed for either.
            The clean rows are cut by the seed into so many equal parts (to one row); one is the
            select rows, the others are the reference rows. Over the folds of a seed every clean
            row selects once and weighs folds - 1 times, and training rows stay the same.
        fold: which part selects, in [0, folds).
        seed: fixes the splits, the shift, initialisation and the order of samples.
    """

    task: str = "digits"
    network: str | None = None
    shift: str = DEFAULT_SHIFT
    method: str = "adiw"
    divergence: str = "mmd"
    steps: int = 5
    step_size: float = 1.0
    bandwidth: float | None = None
    ridge: float | None = None
    warm_start: str = "decay"
    decay: float = 0.5
    warmup_epochs: int = 1
    representation: str = "loss"
    cap: float = 50.0
    slack: float = 0.0
    epochs: int = 8
    batch_size: int = 256
    reference_batch_size: int = 256
    learning_rate: float = 1e-3
    precision: str = "float32"
    compiled: bool = False
    reference_size: int | None = None
    select_size: int | None = None
    folds: int = 1
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        task = find_task(self.task)
        if self.network is not None:
            task.check_network(self.network)
        if self.shift == DEFAULT_SHIFT:
            object.__setattr__(self, "shift", task.default_shift)  # what a record is to tell
        parse_shift(self.shift)
        self._check_choices()
        self._check_divergence()
        self.solver()
        self._check_numbers()

    def _check_choices(self) -> None:
        for name, choices in (
            ("method", METHODS),
            ("warm_start", WARM_STARTS),
            ("representation", REPRESENTATIONS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"unknown {name} '{getattr(self, name)}': choose one of {', '.join(choices)}"
                )

    def _check_divergence(self) -> None:
        if self.divergence == AUTO:
            if self.method not in ("adiw", "giw", "random"):
                raise UserError(
                    f"divergence auto is for method adiw, giw or random: not {self.method}"
                )
            if self.bandwidth is not None:
                raise UserError(
                    "divergence auto takes each divergence's own bandwidth: leave it out"
                )
            return
        make_divergence(self.divergence, self.bandwidth)
        if self.method in ("diw", "diw-published") and self.divergence != "mmd":
            raise UserError(f"method {self.method} solves the mmd problem only: use divergence mmd")

    def _check_numbers(self) -> None:
        for name, least, most in (
            ("warmup_epochs", 0, MOST_EPOCHS),
            ("epochs", 1, MOST_EPOCHS),
            ("batch_size", 1, _MOST_ROWS),
            ("reference_batch_size", 1, _MOST_ROWS),
            ("reference_size", 1, _MOST_ROWS),
            ("select_size", 1, _MOST_ROWS),
            ("folds", 1, _MOST_ROWS),
            ("fold", 0, _MOST_ROWS),
            ("seed", 0, _MOST_SEED),
        ):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), least, most)
        if self.fold >= self.folds:
            raise UserError(f"fold must be below folds, {self.folds}; got {self.fold}")
        check_number("decay", self.decay)
        if not 0 < self.decay < 1:
            raise UserError(f"decay must lie in (0, 1); got {shown(self.decay)}")
        if self.ridge is not None:
            if self.method != "diw":
                raise UserError(f"ridge is for method diw: leave it out for {self.method}")
            check_number("ridge", self.ridge)
            if not 0 <= self.ridge <= _MOST_RIDGE:
                raise UserError(f"ridge must lie in [0, 10^6]; got {shown(self.ridge)}")
        check_positive("learning_rate", self.learning_rate, *FLOAT32)

    def solver(self) -> WeightSolver:
        """The few-step solver that this configuration asks for."""
        return WeightSolver(self.steps, self.step_size, FeasibleSet(self.cap, self.slack))

    def remarks(self) -> list[str]:
        """What is probably a mistake, one line each."""
        if self.method in ("erm", "clean-only") or self.warmup_epochs < self.epochs:
            return []
        return [
            "warmup_epochs is not below epochs: no mini-batch is weighted; choose fewer of them"
        ]

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every field's default, before a task is known."""
        return {field.name: field.default for field in dataclasses.fields(cls)}

    @property
    def retention(self) -> float:
        """How much of a weight's distance from 1 the next start keeps: 0 off, 1 memory."""
        return {"off": 0.0, "memory": 1.0, "decay": self.decay}[self.warm_start]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], folder: Path | None = None) -> Self:
        """From keyword values as a search space or a record gives them, types checked.

        Args:
            values: of the fields; those left out have their defaults.
            folder: from which a task, divergence or file of labels is named that is the user's
                own; it is absolute in what comes out. None: those stay as they are.
        """
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        for name, value in values.items():
            if name not in fields:
                raise UserError(f"unknown parameter '{name}': choose from {', '.join(fields)}")
            if not _fits(value, str(fields[name])):
                raise UserError(
                    f"{name} must be of type {_type_name(fields[name])}; got {shown(value)}"
                )
        return cls(**{**values, **_located(values, folder)})

    def as_dict(self) -> dict[str, Any]:
        """Every field, for records."""
        return dataclasses.asdict(self)


def _located(values: Mapping[str, Any], folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    named = {name: values[name] for name in ("task", "divergence") if name in values}
    files = {n: str(folder / path) for n, path in named.items() if is_file(path)}
    shift = {"shift": located_shift(values["shift"], folder)} if "shift" in values else {}
    return {**files, **shift}


def _type_name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, annotation: str) -> bool:
    if value is None:
        return "None" in annotation
    if isinstance(value, bool) or "bool" in annotation:
        return isinstance(value, bool) and "bool" in annotation
    if "str" in annotation:
        return isinstance(value, str)
    if "float" in annotation:
        return isinstance(value, int | float)
    return isinstance(value, int)
