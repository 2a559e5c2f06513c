"""What a network said of rows of a task, for metrics."""

from torch import Tensor

from adiw_tune.metrics import Predictions
from adiw_tune.tasks.rows import Rows
from adiw_tune.tasks.targets import KINDS


def predictions_of(kind: str, outputs: Tensor, rows: Rows) -> Predictions:
    """``outputs`` [n, ...] beside the targets of all n ``rows``, on the CPU."""
    groups = None if rows.groups is None else rows.groups.cpu().numpy()
    said, true = KINDS[kind].compared(outputs.float().cpu(), rows.labels.cpu())
    shapes = tuple(outputs.shape[1:]), tuple(rows.labels.shape[1:])
    return Predictions(kind, said.numpy(), true.numpy(), groups, shapes)
