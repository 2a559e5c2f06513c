"""The optimiser of a run, by the kernels of its device."""

from typing import Any

import torch
from torch import nn


def make_optimizer(
    network: nn.Module, learning_rate: float, device: torch.device
) -> torch.optim.Optimizer:
    """Adam; on CUDA as one kernel over all parameters, where it knows their types."""
    parameters = list(network.parameters())
    fused = device.type == "cuda" and all(value.is_floating_point() for value in parameters)
    return torch.optim.Adam(parameters, lr=learning_rate, fused=fused or None)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take up ``state``, which may be from a device of another kind: the kernels stay one's own."""
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [{**saved, "fused": own["fused"]} for saved, own in pairs]
    optimizer.load_state_dict({**state, "param_groups": groups})
