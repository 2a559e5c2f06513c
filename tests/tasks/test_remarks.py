"""What a user's task does that is probably a mistake: one line each, and training goes on."""

from pathlib import Path

import pytest
import torch

from adiw_tune.tasks import TASKS, Split, Task, check_task, coverage_remarks, find_task, parse_shift
from adiw_tune.tasks.contract import inspect_task
from adiw_tune.tasks.splits import Splits
from adiw_tune.training import TrainingRun, TrialConfig

from .test_own import DATASET, EXAMPLE, task_of

NOTHING = "means nothing in a task file"
HOOKS = (
    "train, test, model, reference, augment, loss, metric, optimizer, scheduler, METRIC, "
    "GREATER_IS_BETTER, TARGETS, CLASSES, REFERENCE_SIZE, SELECT_SIZE"
)


# So that each size is missing, as a name for which one may have been meant.
_WITHOUT_SIZES = """
import torch
from torch import nn

def rows(n, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=generator)
    return inputs, (inputs[:, 0] > 0).long()

def train():
    return rows(2000, 0)

def test():
    return rows(30, 1)

def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
"""


def remarks_on(task: Task) -> list[str]:
    found = inspect_task(task)
    assert found.problems == []
    return found.remarks


@pytest.mark.parametrize(
    ("code", "remark"),
    [
        ("REFERENCE_SIZES = 10", f"REFERENCE_SIZES {NOTHING}: did you mean REFERENCE_SIZE?"),
        ("REFERENCE_SIZES = 10\nprint(REFERENCE_SIZES)", f"REFERENCE_SIZES {NOTHING}: did you mea"),
        ("REFERENCE_SIZES: int = 10", f"REFERENCE_SIZES {NOTHING}: did you mean REFERENCE_SIZE?"),
        ("if True:\n    REF_SIZE, _ = 3, 4", f"REF_SIZE {NOTHING}: did you mean REFERENCE_SIZE?"),
        ("reference_size = 10", f"reference_size {NOTHING}: did you mean REFERENCE_SIZE?"),
        ("classes = 2", f"classes {NOTHING}: did you mean CLASSES?"),
        ("N_CLASSES = 2", f"N_CLASSES {NOTHING}: did you mean CLASSES?"),
        (
            "def referense():\n    return rows(30, 2)",
            f"referense() {NOTHING}: did you mean r",
        ),
        ("def Augment(x):\n    return x", f"Augment() {NOTHING}: did you mean augment?"),
        ("augmentt = lambda x: x", f"augmentt() {NOTHING}: did you mean augment?"),
        (
            "def predict(x, y):\n    return x",
            f"predict() is not used, and {NOTHING}, which ma",
        ),
        ("EPOCHS = 3", f"EPOCHS is not used, and {NOTHING}, which may define {HOOKS}"),
        ("@staticmethod\ndef collate(x):\n    return x", f"collate() is not used, and {NOTHING}"),
    ],
)
def test_what_a_file_defines_in_vain_is_told(tmp_path: Path, code: str, remark: str) -> None:
    (told,) = remarks_on(task_of(tmp_path, code, base=_WITHOUT_SIZES))
    assert told.startswith(remark)


@pytest.mark.parametrize(
    "code",
    [
        "def helper():\n    return 3\n\ndef augment(x):\n    return x * helper()",
        "WIDTH = 4\n\ndef augment(x):\n    return x[:, :WIDTH]",
        "classes = ['cat', 'dog']\nCLASSES = len(classes)",
        "N_CLASSES = 2\n\ndef model():\n    return nn.Linear(4, N_CLASSES)",
        "def _referense():\n    return 3\n_EPOCHS = 3",
        "from math import pi as PI, sin\nfrom torch.nn.functional import relu",
        "class Reader:\n    LIMIT = 3\n    def read(self):\n        return 3",
        "def main():\n    print('ok')\n\nif __name__ == '__main__':\n    main()",
        "EPOCHS = 3\ndel EPOCHS",
        "try:\n    import nothing\nexcept ImportError as why:\n    nothing = None",
        "net = nn.Linear(4, 2)\nname = 'mine'",
        "# -*- coding: latin-1 -*-\nREFERENCE_SIZE = 10",
        DATASET,
    ],
)
def test_what_a_file_defines_and_uses_is_not(tmp_path: Path, code: str) -> None:
    assert remarks_on(task_of(tmp_path, code)) == []


def test_tasks_that_are_shipped_and_the_example_are_not_remarked_on() -> None:
    assert remarks_on(TASKS["digits"]) == []
    assert remarks_on(find_task(str(EXAMPLE))) == []


LABELS = "def {role}():\n    x, y = rows({n}, {seed})\n    return x, {labels}"


def labels_of(role: str, labels: str) -> str:
    n, seed = {"train": (80, 0), "test": (30, 1), "reference": (40, 2)}[role]
    return LABELS.format(role=role, n=n, seed=seed, labels=labels)


NAMED = "first = rows\ndef rows(n, seed):\n    x, y = first(n, seed)\n"
NAMED += "    return x, [('cat', 'dog')[label] for label in y]"


@pytest.mark.parametrize(
    ("code", "remarks"),
    [
        (
            [labels_of("train", "y + 1"), labels_of("test", "y + 1"), "CLASSES = 3"],
            ["no reference, select or test rows are of class 0: labels are to begin at 0"],
        ),
        (["CLASSES = 4"], ["no reference, select or test rows are of classes 2, 3"]),
        (  # a class that no label names is told by its number
            [NAMED, "CLASSES = 4\ndef model():\n    return nn.Linear(4, 4)"],
            ["no reference, select or test rows are of classes 2, 3"],
        ),
        (
            [
                NAMED,
                labels_of("test", "['dog'] * 30"),
                "CLASSES = 3\ndef model():\n    return nn.Linear(4, 3)",
            ],
            [
                "no reference, select or test rows are of class 2",
                "no test rows, of 30, are of class cat",
            ],
        ),
        (
            [labels_of("train", "y * 0"), labels_of("test", "y")],
            ["all training rows are of class 0", "no reference rows, of 10, are of class 1"],
        ),
        (
            [labels_of("reference", "y * 0 + 1")],
            ["no reference rows, of 10, are of class 0"],
        ),
        ([labels_of("test", "y * 0")], ["no test rows, of 30, are of class 1"]),
        (
            [labels_of("train", "y * 2"), labels_of("reference", "y + 1"), "CLASSES = 3"],
            [
                "no training rows are of class 1",
                "no reference rows, of 10, are of class 0",
                "no test rows, of 30, are of class 2",
            ],
        ),
    ],
)
def test_classes_without_rows_are_told(tmp_path: Path, code: list[str], remarks: list[str]) -> None:
    model = "def model():\n    return nn.Linear(4, globals().get('CLASSES', 2))"
    task = task_of(tmp_path, *code, model)
    assert list(coverage_remarks(task.splits(parse_shift("none"), 0))) == remarks
    assert remarks_on(task) == remarks


def test_of_many_classes_without_rows_some_are_named(tmp_path: Path) -> None:
    splits = task_of(tmp_path, "CLASSES = 10**12").splits(parse_shift("none"), 0)
    (told,) = coverage_remarks(splits)
    assert told.endswith("rows are of classes 2, 3, 4, 5, 6 and 999999999993 more")


def test_a_class_that_noise_fills_is_told_before_training(tmp_path: Path) -> None:
    shifted = [labels_of("train", "y + 1"), labels_of("test", "y + 1"), "CLASSES = 3"]
    task = task_of(tmp_path, *shifted, "def model():\n    return nn.Linear(4, 3)")
    run = TrainingRun(TrialConfig(task=task.name, shift="symmetric:0.5", epochs=2))
    assert 0 in run.splits.train.labels.tolist()
    assert run.remarks == [
        "mine.py: no reference, select or test rows are of class 0: labels are to begin at 0"
    ]


@pytest.mark.parametrize("shift", ["class-prior:100", "symmetric:0.5", "pair:0.9"])
def test_shifts_leave_no_class_without_rows(shift: str) -> None:
    assert list(coverage_remarks(TASKS["digits"].splits(parse_shift(shift), 0))) == []


def test_rows_of_all_roles_are_looked_at() -> None:
    def split(*labels: int) -> Split:
        return Split(torch.zeros(len(labels), 1), torch.tensor(labels))

    splits = Splits(split(0, 1, 2), split(0, 2), split(1), split(0, 1, 2, 2), classes=3)
    assert list(coverage_remarks(splits)) == ["no reference rows, of 2, are of class 1"]


def network(last: str, base: str = "nn.Linear") -> str:
    return (
        f"class Own({base}):\n    def forward(self, x):\n        x = super().forward(x)\n"
        f"        return {last}\ndef model():\n    return Own(4, 2)"
    )


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("def model():\n    return nn.Sequential(nn.Linear(4, 2), nn.Softmax(1))", "softmax"),
        (network("x.softmax(1)"), "softmax"),
        (network("x.softmax(0)"), "softmax"),
        (network("x.log_softmax(1).exp()"), "softmax"),
        (network("x.softmax(1).clone()"), "softmax"),
        ("def model():\n    return nn.Sequential(nn.Linear(4, 2), nn.Sigmoid())", "sigmoid"),
        (network("x.relu()"), "ReLU"),
        (network("x.tanh()"), "tanh"),
    ],
)
def test_a_network_that_ends_in_an_activation_is_told(
    tmp_path: Path, code: str, ending: str
) -> None:
    told = f"it ends in {ending}: cross-entropy takes logits, so return what comes before {ending}"
    task = task_of(tmp_path, code)
    assert remarks_on(task) == [f"model: {told}"]
    run = TrainingRun(TrialConfig(task=task.name, epochs=2))
    assert run.remarks == [f"mine.py: model: {told}"]


@pytest.mark.parametrize(
    "code",
    [
        network("x"),
        network("x.log_softmax(1)"),  # of which the cross-entropy is that of x
        network("x if self.training else x.softmax(1)"),
        "def model():\n    last = nn.Linear(4, 2)\n    nn.init.zeros_(last.weight)\n"
        "    nn.init.zeros_(last.bias)\n    return last",
        "def model():\n    return nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 2))",
    ],
)
def test_a_network_that_gives_logits_is_not(tmp_path: Path, code: str) -> None:
    task = task_of(tmp_path, code)
    assert remarks_on(task) == []
    assert check_task(task) == []


@pytest.mark.parametrize("ending", [".squeeze()", "[:, 0] + 0 * x[1, 0]"])
def test_a_network_that_a_mini_batch_of_one_row_would_stop_is_told(
    tmp_path: Path, ending: str
) -> None:
    code = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 1)
    def forward(self, x):
        return self.last(x){ending}

def train():
    x, y = rows(80, 0)
    return x, y.float()

def test():
    x, y = rows(30, 1)
    return x, y.float()

def model():
    return Net()
"""
    (remark,) = remarks_on(task_of(tmp_path, code))
    assert remark.startswith("model: it fails on one row, which the last mini-batch may have (")


def test_few_training_rows_are_told() -> None:
    def rows(n: int) -> Split:
        return Split(torch.zeros(n, 1), torch.arange(n) % 2)

    assert [*coverage_remarks(Splits(rows(7), rows(3), rows(4), rows(2), classes=2))] == []
    (told,) = coverage_remarks(Splits(rows(6), rows(3), rows(4), rows(2), classes=2))
    assert told.startswith("there are only 6 training rows, beside 3 reference and 4 select rows: ")


@pytest.mark.parametrize(
    ("select", "test", "told"),
    [
        ([0, 1], [1, 0], []),
        ([0, 0], [0, 1], ["no select rows are of group 1: worst_group_accuracy leaves out what"]),
        ([0, 2], [1, 0], ["no select rows are of group 1: ", "no test rows are of group 2: "]),
    ],
)
def test_groups_that_are_missing_are_told(
    select: list[int], test: list[int], told: list[str]
) -> None:
    every = ([7, 8] * 2, [7, 7], select, test)  # of train, reference, select and test
    rows = [
        Split(torch.zeros(len(groups), 1), torch.arange(len(groups)) % 2, torch.tensor(groups))
        for groups in every
    ]
    found = [*coverage_remarks(Splits(*rows, classes=2))]
    assert len(found) == len(told)
    assert all(map(str.startswith, found, told))
