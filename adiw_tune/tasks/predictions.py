"""What a network said of rows of a task, for metrics."""

import torch
from torch import Tensor

from adiw_tune.metrics import Predictions
from adiw_tune.tasks.rows import Rows
from adiw_tune.tasks.targets import KINDS


def predictions_of(kind: str, outputs: Tensor, rows: Rows) -> Predictions:
    """``outputs`` [n, ...] beside the targets of all n ``rows``, on the CPU."""
    groups = None if rows.groups is None else rows.groups.cpu().numpy()
    said, true = KINDS[kind].compared(outputs.float().cpu(), rows.labels.cpu())
    if true.dtype == torch.bfloat16:  # which NumPy lacks
        true = true.float()
    shape = tuple(rows.labels.shape[1:]) if KINDS[kind].in_columns else None
    return Predictions(kind, said.numpy(), true.numpy(), groups, shape)
