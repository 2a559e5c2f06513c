"""What is trained: data in its roles, the shift of the training rows, and a network."""

from adiw_tune.errors import UserError
from adiw_tune.tasks.base import Data, Network, Splits, Task
from adiw_tune.tasks.digits import DIGITS
from adiw_tune.tasks.fashion_mnist import FASHION_MNIST
from adiw_tune.tasks.rows import Rows, Split, concatenated, in_order
from adiw_tune.tasks.shifts import Shift, parse_shift

# A new task is one file beside this one and one entry here.
TASKS = {task.name: task for task in (DIGITS, FASHION_MNIST)}


def find_task(name: str) -> Task:
    """The task called ``name``."""
    if name not in TASKS:
        raise UserError(f"unknown task '{name}': choose one of {', '.join(TASKS)}")
    return TASKS[name]


__all__ = [
    "TASKS",
    "Data",
    "Network",
    "Rows",
    "Shift",
    "Split",
    "Splits",
    "Task",
    "concatenated",
    "find_task",
    "in_order",
    "parse_shift",
]
