"""The contract: every task that is shipped passes, and each fault is told in one line."""

from pathlib import Path

import pytest
import torch

from adiw_tune.tasks import TASKS, check_task
from adiw_tune.tasks.contract import inspect_task

from .real_data import installed_fashion_mnist
from .test_own import DATASET, task_of


def test_digits_passes() -> None:
    assert check_task(TASKS["digits"]) == []


def test_fashion_mnist_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    installed_fashion_mnist()
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    assert check_task(TASKS["fashion-mnist"]) == []


def test_summary_tells_rows_classes_and_shape(tmp_path: Path) -> None:
    apart = "def reference():\n    return rows(40, 2)"
    found = inspect_task(task_of(tmp_path, apart))
    assert found.problems == []
    assert found.summary == [
        "80 training rows, 30 test rows, 40 reference rows, 2 classes, inputs [4] float32"
    ]


OTHER = """
first = rows

def rows(n, seed):
    x, y = first(n, seed)
    return x.to(torch.{dtype}), y
"""

RANDOM = """
class Mine(Mine):
    def __getitem__(self, i):
        return torch.randn(4), int(self.labels[i])
"""

INFINITE = """
class Mine(Mine):
    def __getitem__(self, i):
        return self.inputs[i] / 0, int(self.labels[i])
"""

SET_SIZES = (
    "set them as REFERENCE_SIZE and SELECT_SIZE in a task file, as reference_size and select_size "
    "in a space, or by --reference-size and --select-size of train"
)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def train():\n    return torch.zeros(0, 4), torch.zeros(0).long()", "train has no rows"),
        ("def test():\n    return torch.zeros(0, 4), torch.zeros(0).long()", "test has no rows"),
        (
            "def test():\n    x, y = rows(30, 1)\n    return x, y - 1",
            "labels of test run from -1 to 0: with 2 classes they must lie in 0 .. 1; give real "
            'values as floats, or set TARGETS = "real"',
        ),
        ("CLASSES = 1", "the number of classes is 1: at least 2 are needed"),
        ("CLASSES = 1", "labels of train run from 0 to 1: with 1 classes they must lie in 0 .. 0"),
        (
            "def train():\n    x, y = rows(80, 0)\n    x[3, 1] = float('nan')\n    return x, y",
            "train has inputs that are not finite",
        ),
        (
            OTHER.format(dtype="float64"),
            "model fails on inputs [8, 4] torch.float64: RuntimeError: mat1 and mat2 must have the "
            "same dtype, but got Double and Float (torch.float64: most networks take float32)",
        ),
        (
            OTHER.format(dtype="bfloat16"),
            "model fails on inputs [8, 4] torch.bfloat16: RuntimeError: mat1 and mat2 must have "
            "the same dtype, but got BFloat16 and Float (torch.bfloat16: most networks take "
            "float32)",
        ),
        (
            DATASET + INFINITE,
            "train has inputs that are not finite",
        ),
        (
            "def train():\n    return torch.tensor(1.0), torch.tensor(1)",
            "inputs of train() of '{path}' are a single number: give a tensor [n, ...]",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return x.to_sparse(), y",
            "inputs of train() of '{path}' are [80, 4] torch.sparse_coo: give a dense tensor",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return x.to('meta'), y",
            "inputs of train() of '{path}' are [80, 4] on the meta device: give a dense tensor",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return x, y.to('meta')",
            "labels of train() of '{path}' are [80] on the meta device: give a dense tensor",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n"
            "    return torch.nested.nested_tensor(list(x), layout=torch.jagged), y",
            "inputs of train() of '{path}' are nested: give a dense tensor",
        ),
        (
            OTHER.format(dtype="float8_e5m2"),
            "model fails on inputs [8, 4] torch.float8_e5m2: RuntimeError: mat1 and mat2 must have "
            "the same dtype, but got Float8_e5m2 and Float (torch.float8_e5m2: most networks take "
            "float32)",
        ),
        (
            DATASET + "\nclass Mine(Mine):\n    def __getitem__(self, i):\n"
            "        return torch.zeros(4, device='meta'), int(self.labels[i])",
            "inputs of item 0 of train() of '{path}' are [4] on the meta device: give a dense "
            "tensor",
        ),
        (
            "def test():\n    x, y = rows(30, 1)\n    return x[:, :3], y",
            "inputs of test are [3] torch.float32, those of train [4] torch.float32: "
            "they must be alike",
        ),
        (
            "def test():\n    x, y = rows(30, 1)\n    return x.byte(), y",
            "inputs of test are [4] torch.uint8, those of train [4] torch.float32: "
            "they must be alike",
        ),
        (
            "def test():\n    x, y = rows(80, 0)\n    return x[:30], y[:30]",
            "30 of 30 test rows are among the training rows: remove them from train",
        ),
        (
            "def reference():\n    return rows(40, 0)",
            "40 of 40 reference rows are among the training rows: remove them from train",
        ),
        (
            DATASET + RANDOM,
            "reading a row of train twice gives different inputs: what is random belongs in "
            "augment(inputs)",
        ),
        (
            "def train():\n    return *rows(80, 0), torch.ones(80).long()",
            "no row of train is in group 0, which a shift of groups keeps",
        ),
        (
            "REFERENCE_SIZE = 100",
            "reference_size 100 and select_size 20 leave no training rows: task '{path}' has 80, "
            f"so their sum must be below that; {SET_SIZES}",
        ),
        (
            "def reference():\n    return rows(29, 2)",
            "reference_size 10 and select_size 20 are more than the 29 clean rows of task "
            f"'{{path}}': {SET_SIZES}",
        ),
        (
            "def train():\n    return 3",
            "train() of '{path}' gives int: give (inputs, labels), or a Dataset of such pairs",
        ),
    ],
)
def test_fault_is_told_in_one_line(tmp_path: Path, code: str, problem: str) -> None:
    problems = check_task(task_of(tmp_path, code))
    assert problem.format(path=tmp_path / "mine.py") in problems
    assert not [line for line in problems if "\n" in line]


def test_all_problems_are_told(tmp_path: Path) -> None:
    code = """
def train():
    x, y = rows(80, 0)
    return x / 0, y

def test():
    return rows(30, 1)[0].half(), torch.full((30,), -1)
"""
    assert len(check_task(task_of(tmp_path, code))) == 3


def test_few_copies_are_told_but_no_problem(tmp_path: Path) -> None:
    code = """
def train():
    x, y = rows(80, 0)
    x[:2] = x[2:4]
    return x, y
"""
    found = inspect_task(task_of(tmp_path, code))
    assert found.problems == []
    assert found.summary[1:] == ["4 of 80 training rows repeat another one"]


DISCRETE = """
def bits(n, seed):
    inputs, labels = rows(n, seed)
    return (inputs > 0).float(), labels

def train():
    return bits(80, 0)

def test():
    return bits(30, 1)
"""


def test_rows_of_few_numbers_may_be_alike(tmp_path: Path) -> None:
    found = inspect_task(task_of(tmp_path, DISCRETE))
    assert found.problems == []
    assert found.summary[1:] == [
        "30 of 30 test rows are among the training rows",
        "80 of 80 training rows repeat another one",
    ]


VECTORS = """
def numbers(n, seed):
    inputs, labels = rows(n, seed)
    return inputs[:, 0], labels

def train():
    return numbers(80, 0)

def test():
    return numbers(30, 1)

def model():
    return nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Linear(1, 2))
"""


def test_a_rows_inputs_may_be_one_number(tmp_path: Path) -> None:
    found = inspect_task(task_of(tmp_path, VECTORS))
    assert found.problems == []
    assert found.summary == ["80 training rows, 30 test rows, 2 classes, inputs [] float32"]


def test_inputs_may_have_a_graph(tmp_path: Path) -> None:
    graph = "def train():\n    x, y = rows(80, 0)\n    return x.requires_grad_(), y"
    assert check_task(task_of(tmp_path, graph)) == []


def test_groups_of_a_dataset_may_be_a_list_or_an_array(tmp_path: Path) -> None:
    for groups in ("[0, 1] * 40", "(torch.arange(80) % 2).numpy()", "torch.arange(80).int() % 2"):
        given = f"class Mine(Mine):\n    groups = property(lambda self: {groups}, lambda *_: None)"
        task = task_of(tmp_path, DATASET, given, name=f"{len(groups)}.py")
        assert check_task(task) == []
        assert task.load(None).rows.groups is not None


def test_sizes_of_the_clean_roles_may_be_given(tmp_path: Path) -> None:
    task = task_of(tmp_path, "REFERENCE_SIZE = SELECT_SIZE = 500")
    assert "reference_size 500 and select_size 500 leave no training rows" in check_task(task)[0]
    assert check_task(task, None, 10, 20) == []
    assert "reference_size 10 and select_size 70 leave no" in check_task(task, None, 10, 70)[0]


def test_checking_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    check_task(TASKS["digits"])
    assert torch.equal(torch.get_rng_state(), before)
