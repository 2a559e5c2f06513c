"""Recipe of a run: optimiser, learning rate over the course, regularisation, precision."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adiw_tune.errors import UserError
from adiw_tune.ranges import FLOAT32, check_positive, shown
from adiw_tune.training.config.checks import (
    MOST_EPOCHS,
    MOST_ROWS,
    check_between,
    check_choice,
    check_wholes,
)
from adiw_tune.training.optimizer import OPTIMIZERS
from adiw_tune.training.schedule import SCHEDULES

OWN = "own"  # optimiser or schedule: the task file's
# Fields that choose an optimiser or a schedule, each with the table of those.
CHOICES: dict[str, Mapping[str, Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
SELF_WARMING = ("onecycle", OWN)  # schedules
PRECISIONS = ("float32", "bfloat16")
_LARGEST = 1e6  # of what is added to gradients, or bounds them


def unread_fields(choice: str, chosen: str) -> dict[str, str]:
    """Fields that ``chosen`` does not read, each with the optimiser or schedule that does.

    A user's own optimiser is given the configuration, so it may read any; the scheduler is not.
    """
    kinds = CHOICES[choice]
    if choice == "optimizer" and chosen == OWN:
        return {}
    read = kinds[chosen].fields if chosen in kinds else ()
    return {field: name for name, one in kinds.items() for field in one.fields if field not in read}


@dataclass(frozen=True)
class Recipe:
    """How the network is fitted to the weighted losses.

    The learning rate changes after each update, over the full course: a run that is cut early has
    seen the first part of it.

    Args:
        epochs: passes over the training rows, in [1, 10^6].
        batch_size: training rows in a mini-batch, in [1, 10^9]; of fewer rows it has all.
        optimizer: adam, adamw or sgd of ``torch.optim``, or own for ``optimizer(model, config)``
            of the task file. "default" is replaced by own if the file defines one, else by adam.
        learning_rate: of the optimiser, in [1e-38, 1e38], which is what float32 holds; the highest
            of a schedule.
        momentum: of sgd, in [0, 1).
        nesterov: whether sgd's momentum is Nesterov's; it needs momentum above 0.
        weight_decay: in [0, 10^6]; None is the optimiser's own, 0.01 for adamw, else 0.
        schedule: of the learning rate: constant; cosine to ``lr_end`` times it; step, by
            ``lr_gamma`` after each ``lr_step_epochs``; onecycle; or own for
            ``scheduler(optimizer, steps)`` of the task file; default as for the optimiser, else
            constant.
        lr_end: of cosine: the final rate, after the last update, as a share of learning_rate, in
            [0, 1]; None is 0.
        lr_step_epochs: of step, in [1, 10^6]; None is a third of ``lr_epochs``, rounded up.
        lr_gamma: of step, in (0, 1]; None is 0.1.
        lr_rise: of onecycle: the share of the course in which the rate rises, in [0.01, 0.99];
            None is 0.3.
        lr_warmup_epochs: epochs of linear warm-up before the schedule, in [0, 10^6]; they are part
            of ``lr_epochs``. It must be 0 for onecycle and own, which have their own.
        lr_epochs: length of the schedule in epochs, from ``epochs`` to 10^6; None is ``epochs``. If
            it is more, the run is the first part of a longer one.
        clip_norm: largest norm of the gradient of all parameters, in [1e-6, 1e6]; None does not
            clip.
        label_smoothing: of the cross-entropy, in [0, 1): of the losses that weigh and train alike.
        precision: of the network's passes, float32 or bfloat16.
    """

    epochs: int = 8
    batch_size: int = 256
    optimizer: str = "default"
    learning_rate: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float | None = None
    schedule: str = "default"
    lr_end: float | None = None
    lr_step_epochs: int | None = None
    lr_gamma: float | None = None
    lr_rise: float | None = None
    lr_warmup_epochs: int = 0
    lr_epochs: int | None = None
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    precision: str = "float32"

    def _check_recipe(self, own_optimizer: bool, own_schedule: bool) -> None:
        """Refuse what is wrong; put what stands for a default of the task in its place."""
        self._settle("optimizer", OPTIMIZERS, "adam", own_optimizer, "optimizer(model, config)")
        self._settle("schedule", SCHEDULES, "constant", own_schedule, "scheduler(optimizer, steps)")
        check_choice("precision", self.precision, PRECISIONS)
        check_wholes(
            vars(self),
            (
                ("epochs", 1, MOST_EPOCHS),
                ("batch_size", 1, MOST_ROWS),
                ("lr_step_epochs", 1, MOST_EPOCHS),
                ("lr_warmup_epochs", 0, MOST_EPOCHS),
                ("lr_epochs", self.epochs, MOST_EPOCHS),
            ),
        )
        check_positive("learning_rate", self.learning_rate, *FLOAT32)
        for choice in CHOICES:
            self._check_belonging(choice)
        self._check_numbers()

    def _settle(self, name: str, known: Any, usual: str, has_own: bool, function: str) -> None:
        if getattr(self, name) == "default":
            object.__setattr__(self, name, OWN if has_own else usual)  # what a record is to tell
        check_choice(name, getattr(self, name), [*known, OWN])
        if getattr(self, name) == OWN and not has_own:
            raise UserError(f"{name} own needs {function} in a task file; this task has none")

    def _check_numbers(self) -> None:
        for name, least, most, text in (
            ("momentum", 0, 1 - 1e-12, "[0, 1)"),
            ("weight_decay", 0, _LARGEST, "[0, 10^6]"),
            ("lr_end", 0, 1, "[0, 1]"),
            ("lr_gamma", 1e-12, 1, "(0, 1]"),
            ("lr_rise", 0.01, 0.99, "[0.01, 0.99]"),
            ("label_smoothing", 0, 1 - 1e-12, "[0, 1)"),
        ):
            if getattr(self, name) is not None:
                check_between(name, getattr(self, name), least, most, text)
        if self.lr_warmup_epochs and self.schedule in SELF_WARMING:
            raise UserError(
                f"schedule {self.schedule} has a warm-up of its own: leave lr_warmup_epochs out"
            )
        if self.clip_norm is not None:
            check_positive("clip_norm", self.clip_norm, 1 / _LARGEST, _LARGEST)
        if self.nesterov and not self.momentum > 0:
            raise UserError(f"nesterov needs momentum above 0; got {shown(self.momentum)}")

    def _check_belonging(self, choice: str) -> None:
        """Refuse a field that the optimiser or schedule chosen does not read."""
        chosen = getattr(self, choice)
        defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
        for field, name in unread_fields(choice, chosen).items():
            if getattr(self, field) != defaults[field]:
                raise UserError(f"{field} is for {choice} {name}: leave it out for {chosen}")

    @property
    def schedule_epochs(self) -> int:
        """Epochs that the schedule is laid out for."""
        return self.lr_epochs or self.epochs
