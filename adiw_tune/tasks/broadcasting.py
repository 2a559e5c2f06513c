"""Whether outputs and targets of other shapes broadcast against each other in a loss."""

import torch
from torch import Tensor

from adiw_tune.tasks.targets import RowLoss


def broadcasts(loss: RowLoss, outputs: Tensor, targets: Tensor, binary: bool) -> bool:
    """Whether a row's loss depends on other rows since ``outputs`` have not the targets' shape.

    Outputs [n, 1] and targets [n] broadcast to [n, n]; a mean over one of these dimensions is [n],
    as losses are. A loss that depends on the whole mini-batch, or on random numbers, does not
    broadcast if it is the same for outputs in the shape of the targets, or never the same.

    Args:
        loss: of outputs and targets, one a row.
        outputs: of the network, [n, ...], as many numbers a row as in targets.
        targets: [n, ...].
        binary: whether the targets are 0 and 1.
    """
    if outputs.shape == targets.shape:
        return False
    losses = loss(outputs, targets)
    if not _alike(loss(outputs, targets), losses):
        return False
    try:
        if _alike(loss(outputs.reshape(targets.shape), targets), losses):
            return False
    except Exception:  # such as outputs[:, 0] raises
        pass
    copies = torch.zeros(len(targets), dtype=torch.int64)  # of the first row
    others = [targets[copies]]
    if binary:  # all targets of a mini-batch may be alike
        others.append(1 - targets[copies])
        others[1][0] = targets[0]
    return not all(_alike(loss(outputs[copies], one)[0], losses[0]) for one in others)


def _alike(losses: Tensor, others: Tensor) -> bool:
    same = losses.shape == others.shape
    return same and torch.allclose(losses, others, rtol=1e-3, atol=1e-6, equal_nan=True)
