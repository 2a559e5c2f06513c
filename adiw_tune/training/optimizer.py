"""The optimiser of a run: ``torch.optim``'s by the kernels of its device, or the task file's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from adiw_tune.tasks import Network, find_task

if TYPE_CHECKING:
    from adiw_tune.training.config import TrialConfig

_KERNELS = ("fused",)  # what torch's optimisers keep beside their settings


@dataclass(frozen=True)
class _Kind:
    """What makes an optimiser, and which fields of the recipe it alone reads."""

    make: Callable[..., torch.optim.Optimizer]
    fields: tuple[str, ...] = ()


# One line each.
OPTIMIZERS: dict[str, _Kind] = {
    "adam": _Kind(torch.optim.Adam),
    "adamw": _Kind(torch.optim.AdamW),
    "sgd": _Kind(torch.optim.SGD, ("momentum", "nesterov")),
}


def make_optimizer(config: "TrialConfig", network: Network, device: torch.device) -> Any:
    """The configuration's; on CUDA one kernel over all parameters, where it knows their types.

    A task file's own is made of the user's module.
    """
    if config.optimizer not in OPTIMIZERS:
        make = find_task(config.task).optimizer
        assert make is not None  # or the configuration would be refused
        return make(network.module, config)
    kind, parameters = OPTIMIZERS[config.optimizer], list(network.parameters())
    fused = device.type == "cuda" and all(value.is_floating_point() for value in parameters)
    given = {name: getattr(config, name) for name in kind.fields}
    if config.weight_decay is not None:
        given["weight_decay"] = config.weight_decay
    return kind.make(parameters, lr=config.learning_rate, fused=fused or None, **given)


def load_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    """Load ``state``, which may come from another kind of device: ``fused`` stays as it is here."""
    if "param_groups" in state:
        pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
        groups = [saved | {n: own[n] for n in _KERNELS if n in own} for saved, own in pairs]
        state = {**state, "param_groups": groups}
    optimizer.load_state_dict(state)
