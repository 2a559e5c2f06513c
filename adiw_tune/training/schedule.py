"""The learning rate over the course of a run, by ``torch.optim.lr_scheduler``."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
    StepLR,
)

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.tasks import find_task
from adiw_tune.training.user_code import in_user_code

if TYPE_CHECKING:
    from adiw_tune.training.config import Recipe, TrialConfig


def _constant(optimizer: Optimizer, recipe: "Recipe", steps: int, epoch: int) -> LRScheduler:
    return ConstantLR(optimizer, factor=1)


def _cosine(optimizer: Optimizer, recipe: "Recipe", steps: int, epoch: int) -> LRScheduler:
    # A factor: parameter groups may differ in rate, but CosineAnnealingLR has one end for all.
    end = recipe.lr_end or 0.0
    return LambdaLR(
        optimizer, lambda step: end + (1 - end) * (1 + math.cos(math.pi * step / steps)) / 2
    )


def _step(optimizer: Optimizer, recipe: "Recipe", steps: int, epoch: int) -> LRScheduler:
    gamma = 0.1 if recipe.lr_gamma is None else recipe.lr_gamma
    epochs = recipe.lr_step_epochs or -(-recipe.schedule_epochs // 3)
    return StepLR(optimizer, epochs * epoch, gamma)


def _one_cycle(optimizer: Optimizer, recipe: "Recipe", steps: int, epoch: int) -> LRScheduler:
    rise = 0.3 if recipe.lr_rise is None else recipe.lr_rise
    least = math.ceil(1 / rise) + 1  # or its first phase would have no step
    return OneCycleLR(  # momentum stays what the recipe says
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        max(least, steps),
        pct_start=rise,
        cycle_momentum=False,
    )


@dataclass(frozen=True)
class _Kind:
    """What makes a scheduler, and which fields of the recipe it alone reads.

    It is given the optimiser, the recipe, and how many updates there are: in all, in an epoch.
    """

    make: Callable[[Optimizer, "Recipe", int, int], LRScheduler]
    fields: tuple[str, ...] = ()


# One line each.
SCHEDULES: dict[str, _Kind] = {
    "constant": _Kind(_constant),
    "cosine": _Kind(_cosine, ("lr_end",)),
    "step": _Kind(_step, ("lr_step_epochs", "lr_gamma")),
    "onecycle": _Kind(_one_cycle, ("lr_rise",)),
}


def make_schedule(config: "TrialConfig", optimizer: Any, epoch: int) -> "Schedule":
    """The learning rate of a run with so many updates in an ``epoch``, ready for the first."""
    steps = config.schedule_epochs * epoch
    if config.schedule in SCHEDULES:
        return Schedule(_scheduler(config, optimizer, epoch), steps)
    make = find_task(config.task).scheduler
    assert make is not None  # or the configuration would be refused
    return Schedule(make(optimizer, steps), steps, f"scheduler() of '{config.task}'")


def _scheduler(recipe: "Recipe", optimizer: Any, epoch: int) -> LRScheduler | None:
    """The recipe's, after its warm-up; None where the rate never changes."""
    kind, steps, rising = (
        SCHEDULES[recipe.schedule],
        recipe.schedule_epochs * epoch,
        _rising(recipe, epoch),
    )
    if recipe.schedule == "constant" and not rising:
        return None
    if not isinstance(optimizer, Optimizer):
        raise UserError(
            f"schedule {recipe.schedule}{' with a warm-up' if rising else ''} needs a "
            f"torch.optim.Optimizer, but optimizer() of the task gives {type(optimizer).__name__}: "
            "define scheduler(optimizer, steps), or use a constant rate without warm-up"
        )
    if not rising:
        return kind.make(optimizer, recipe, steps, epoch)
    # The first update has 1/rising of the rate, the last of the warm-up all of it.
    warm_up = LinearLR(optimizer, 1 / rising, total_iters=rising - 1)
    after = kind.make(optimizer, recipe, max(1, steps - rising), epoch)
    return SequentialLR(optimizer, [warm_up, after], [rising])


def _rising(recipe: "Recipe", epoch: int) -> int:
    """Updates of the warm-up: one update has nothing to rise from."""
    updates = recipe.lr_warmup_epochs * epoch
    return updates if updates > 1 else 0


class Schedule:
    """Steps the scheduler of a run after each update but the last.

    Further calls change nothing: calibration near the end of a run takes a few updates too many.

    Args:
        scheduler: anything with ``step``, ``state_dict`` and ``load_state_dict``; None does
            nothing.
        steps: updates of the run.
        name: what errors call the scheduler.
    """

    def __init__(self, scheduler: Any, steps: int, name: str = "the schedule") -> None:
        self._scheduler = scheduler
        self._steps = steps
        self._left = steps - 1
        self._name = name

    def step(self) -> None:
        """The rate of the next update."""
        if self._scheduler is not None and self._left > 0:
            fails = f"{self._name} fails after update {self._steps - self._left} of {self._steps}"
            with in_user_code(lambda error: f"{fails}: {in_one_line(error)}"):
                self._scheduler.step()
            self._left -= 1

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        state = self._scheduler.state_dict() if self._scheduler is not None else None
        return {"scheduler": state, "left": self._left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._left = state["left"]
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["scheduler"])
