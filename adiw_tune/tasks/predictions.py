"""What a network said of rows of a task, for metrics."""

from torch import Tensor

from adiw_tune.metrics import CLASSES, Predictions
from adiw_tune.tasks.rows import Rows
from adiw_tune.tasks.splits import Splits


def targets_of(splits: Splits) -> str:
    """What kind of targets the rows have, one of :data:`adiw_tune.metrics.KINDS`."""
    return CLASSES


def predictions_of(kind: str, outputs: Tensor, rows: Rows) -> Predictions:
    """``outputs`` [n, ...] beside the targets of all n ``rows``, on the CPU."""
    groups = None if rows.groups is None else rows.groups.cpu().numpy()
    return Predictions(kind, outputs.float().cpu().numpy(), rows.labels.cpu().numpy(), groups)
