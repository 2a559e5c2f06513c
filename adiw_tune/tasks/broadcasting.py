"""Whether outputs and targets of different shapes broadcast against each other in a loss."""

import torch
from torch import Tensor

from adiw_tune.tasks.targets import RowLoss


def broadcasts(loss: RowLoss, outputs: Tensor, targets: Tensor, binary: bool) -> bool:
    """Whether ``outputs`` and ``targets`` broadcast in ``loss``, which mixes the rows.

    Outputs [n, 1] and targets [n] broadcast to [n, n]. A mean over either dimension is [n], the
    shape that losses must have, so the shape does not show the mistake. A loss may depend on the
    whole mini-batch or on random numbers without broadcasting. So the result is False if the losses
    stay the same when the outputs are given the shape of the targets, and also if two calls with
    the same arguments give different losses.

    Args:
        loss: a function of outputs and targets that returns one loss for each row, [n].
        outputs: the network's outputs, [n, ...], with as many numbers for each row as the targets.
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
    except Exception:  # for example, outputs[:, 0] fails for outputs [n]
        pass
    copies = torch.zeros(len(targets), dtype=torch.int64)  # of the first row
    others = [targets[copies]]
    # If all targets of the mini-batch are equal, copies of the first change nothing.
    if binary:
        others.append(1 - targets[copies])
        others[1][0] = targets[0]
    return not all(_alike(loss(outputs[copies], one)[0], losses[0]) for one in others)


def _alike(losses: Tensor, others: Tensor) -> bool:
    same = losses.shape == others.shape
    return same and torch.allclose(losses, others, rtol=1e-3, atol=1e-6, equal_nan=True)
