"""What is trained: data in its roles, the shift of the training rows, and a network."""

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Network, Task
from adiw_tune.tasks.catalogue import TASKS
from adiw_tune.tasks.checks import other_rows, unlike_twice
from adiw_tune.tasks.contract import check_task
from adiw_tune.tasks.coverage import coverage_remarks
from adiw_tune.tasks.data import Data
from adiw_tune.tasks.main_metric import check_has_metric, main_metric
from adiw_tune.tasks.own import load_task
from adiw_tune.tasks.predictions import predictions_of
from adiw_tune.tasks.rows import Rows, Split, concatenated, in_order
from adiw_tune.tasks.shift_parsing import located_shift, parse_shift, shift_files
from adiw_tune.tasks.shifts import Shift
from adiw_tune.tasks.splits import Splits
from adiw_tune.tasks.streamed import StreamedSplit
from adiw_tune.tasks.trial import check_network
from adiw_tune.user_file import is_file


def find_task(name: str) -> Task:
    """The task called ``name``: a key of :data:`TASKS`, or the path of a Python file.

    Such a path ends in ``.py``. The file is code and runs with the rights of whoever names it.
    """
    if is_file(name):
        return load_task(name)
    if name not in TASKS:
        raise UserError(
            f"unknown task '{name}': choose one of {', '.join(TASKS)}, "
            "or a Python file, path/to/file.py"
        )
    return TASKS[name]


__all__ = [
    "TASKS",
    "Data",
    "Network",
    "Rows",
    "Shift",
    "Split",
    "Splits",
    "StreamedSplit",
    "Task",
    "check_has_metric",
    "check_network",
    "check_task",
    "concatenated",
    "coverage_remarks",
    "find_task",
    "in_order",
    "located_shift",
    "main_metric",
    "other_rows",
    "parse_shift",
    "predictions_of",
    "shift_files",
    "unlike_twice",
]
