"""Smoke test of a task file's own optimiser and scheduler, on a network of its own."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from adiw_tune.errors import UserError, in_one_line, told_as
from adiw_tune.tasks import Splits, find_task
from adiw_tune.tasks.coverage import listed
from adiw_tune.tasks.targets import KINDS, row_loss
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Learner
from adiw_tune.training.optimizer import OPTIMIZERS, make_optimizer
from adiw_tune.training.schedule import SCHEDULES, make_schedule

_ROWS = 8
_UPDATES = 10_000  # whose rates are tried, if the run has so many: a second or so
_CPU = torch.device("cpu")


def check_own_recipe(config: TrialConfig, splits: Splits) -> list[str]:
    """Refuse an optimiser or a scheduler that training cannot work with.

    One update is tried, and up to 10,000 steps of the scheduler.

    Returns remarks on what is probably a mistake, one line each.

    It runs on the CPU, on a few training rows; torch's global generator of the CPU is left as it
    is.

    Raises:
        UserError: an update fails, or the state after it could not be loaded from a checkpoint,
            which may hold only tensors and plain values.
    """
    if not has_own_recipe(config):
        return []
    with torch.random.fork_rng(devices=[]):
        return _check_update(config, splits)


def has_own_recipe(config: TrialConfig) -> bool:
    """Whether optimiser or scheduler are the task file's."""
    return config.optimizer not in OPTIMIZERS or config.schedule not in SCHEDULES


def _check_update(config: TrialConfig, splits: Splits) -> list[str]:
    functions = []
    if config.optimizer not in OPTIMIZERS:
        functions.append("optimizer()")
    if config.schedule not in SCHEDULES:
        functions.append("scheduler()")
    own, task = f"{' with '.join(functions)} of '{config.task}'", find_task(config.task)
    some = torch.arange(min(_ROWS, len(splits.train)))
    rows = next(splits.train.batches([some])).to(_CPU)
    network = task.network(splits, config.network, config.model)
    loss = row_loss(splits.targets, task.loss, config.label_smoothing)
    learner = Learner(network, kind=KINDS[splits.targets], loss=loss, task=config.task)
    optimizer = make_optimizer(config, network, _CPU)
    schedule = make_schedule(config, optimizer, -(-len(splits.train) // config.batch_size))
    trained = {name: p for name, p in network.module.named_parameters() if p.requires_grad}
    before = [parameter.detach().clone() for parameter in trained.values()]
    with told_as(lambda error: f"{own} fails in an update ({in_one_line(error)})"):
        optimizer.zero_grad()
        try:
            losses = learner.forward(rows).losses
        except UserError as error:  # network and loss worked before these
            raise UserError(f"{own} fails in an update ({error})") from error
        losses.mean().backward()
        optimizer.step()
        for _ in range(_UPDATES):
            schedule.step()
        state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    _check_kept(state, own)
    return _remarks(config.task, optimizer, trained, before)


def _remarks(
    task: str, optimizer: Any, trained: Mapping[str, Tensor], before: list[Tensor]
) -> list[str]:
    """A remark on the parameters that the optimiser leaves out; an error if it changes none."""
    groups = getattr(optimizer, "param_groups", [])
    if not groups or not all(isinstance(one, dict) and "params" in one for one in groups):
        return []  # no groups as torch's optimisers have them: what is updated is unknown
    updated = {parameter for group in groups for parameter in group["params"]}
    missing = [name for name, parameter in trained.items() if parameter not in updated]
    if not missing:
        return []
    if len(missing) < len(trained):
        return [
            f"optimizer() of '{task}' does not update {listed(missing)}: give it "
            "model.parameters() if that is a mistake"
        ]
    # An optimiser may update copies of the parameters and write them back, so values are compared.
    if all(map(torch.equal, before, trained.values())):
        raise UserError(
            f"optimizer() of '{task}' updates no parameter of the model: give it model.parameters()"
        )
    return []


def _check_kept(state: dict[str, Any], own: str) -> None:
    saved = io.BytesIO()
    try:
        torch.save(state, saved)
        saved.seek(0)
        torch.load(saved, weights_only=True)
    except Exception as error:  # whatever pickling raises
        raise UserError(
            f"{own} has a state that no checkpoint can hold: keep tensors and plain values in it"
        ) from error
