"""The contract: every task that is shipped passes, and each fault is told in one line."""

import os
from pathlib import Path

import pytest
import torch

from adiw_tune.tasks import TASKS, check_task
from adiw_tune.tasks.contract import inspect_task

from .test_fashion_mnist import INSTALLED
from .test_own import DATASET, task_of


def test_digits_passes() -> None:
    assert check_task(TASKS["digits"]) == []


def test_fashion_mnist_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    if not INSTALLED.exists():
        assert os.environ.get("CI") != "true", f"CI must have Fashion-MNIST in {INSTALLED}"
        pytest.skip(f"no Fashion-MNIST in {INSTALLED}: install Debian's dataset-fashion-mnist")
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    assert check_task(TASKS["fashion-mnist"]) == []


def test_summary_tells_rows_classes_and_shape(tmp_path: Path) -> None:
    apart = "def reference():\n    return rows(40, 2)"
    found = inspect_task(task_of(tmp_path, apart))
    assert found.problems == []
    assert found.summary == [
        "80 training rows, 30 test rows, 40 reference rows, 2 classes, inputs [4] float32"
    ]


RANDOM = """
class Mine(Mine):
    def __getitem__(self, i):
        return torch.randn(4), int(self.labels[i])
"""


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        # rows
        ("def train():\n    return torch.zeros(0, 4), torch.zeros(0).long()", "train has no rows"),
        ("def test():\n    return torch.zeros(0, 4), torch.zeros(0).long()", "test has no rows"),
        (
            "def test():\n    x, y = rows(30, 1)\n    return x, y - 1",
            "labels of test run from -1 to 0: with 2 classes they must lie in 0 .. 1",
        ),
        ("CLASSES = 1", "labels of train run from 0 to 1: with 1 classes they must lie in 0 .. 0"),
        (
            "def train():\n    x, y = rows(80, 0)\n    x[3, 1] = float('nan')\n    return x, y",
            "train has inputs that are not finite",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return x.double(), y",
            "inputs of train are torch.float64: give float32 or uint8",
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
            "30 of 30 different test rows have the inputs of a training row",
        ),
        (
            "def reference():\n    return rows(40, 0)",
            "40 of 40 different reference rows have the inputs of a training row",
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
            "so their sum must be below that",
        ),
        (
            "def reference():\n    return rows(29, 2)",
            "reference_size 10 and select_size 20 are more than the 29 trusted rows of task "
            "'{path}'",
        ),
        (
            "def train():\n    return 3",
            "train() of '{path}' gives int: give (inputs, labels) "
            "tensors, or a Dataset of (tensor, int) pairs",
        ),
        # network
        ("def model():\n    return 3", "model() of '{path}' gives int: give an nn.Module"),
        (
            "def model():\n    return nn.Linear(4, 3)",
            "model: logits of 8 rows must be [8, 2]; they are [8, 3] (is the number of classes "
            "right?)",
        ),
        (
            "def model():\n    return nn.Sequential(nn.Linear(4, 2), nn.Flatten(0))",
            "model: logits of 8 rows must be [8, 2]; they are [16] (is the number of classes "
            "right?)",
        ),
        (
            "class Two(nn.Linear):\n    def forward(self, x):\n        return super().forward(x), x"
            "\ndef model():\n    return Two(4, 2)",
            "model: logits of 8 rows must be [8, 2]; they are tuple (is the number of classes "
            "right?)",
        ),
        (
            "class Log(nn.Linear):\n    def forward(self, x):\n"
            "        return super().forward(x) / 0\ndef model():\n    return Log(4, 2)",
            "model: logits must be finite",
        ),
        (
            "class Noisy(nn.Linear):\n    def forward(self, x):\n"
            "        return super().forward(x) + torch.randn(len(x), 2)\n"
            "def model():\n    return Noisy(4, 2)",
            "model: the same rows give other logits the second time in evaluation mode",
        ),
        (
            "def model():\n    return nn.Linear(4, 2).requires_grad_(False)",
            "model: the loss has no gradient: are all parameters frozen?",
        ),
        (
            "class Cut(nn.Linear):\n    def forward(self, x):\n"
            "        return super().forward(x) * 0\ndef model():\n    return Cut(4, 2)",
            "model: no parameter gets a gradient from the loss",
        ),
        (
            "def model():\n    return nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 2, 1), "
            "nn.Flatten())",
            "model: no nn.Linear is called, so representation feature has nothing to look at: "
            "give a Network(features, head)",
        ),
        (
            "class Tokens(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.each = nn.Linear(2, 2)\n    def forward(self, x):\n"
            "        return self.each(x.reshape(-1, 2)).reshape(-1, 2, 2).sum(1)\n"
            "def model():\n    return Tokens()",
            "model: features of 8 rows must be [8, ...]; they are [16, 2]",
        ),
        (
            "class Torn(nn.Linear):\n    def forward(self, x):\n        raise ValueError('a\\nb')\n"
            "def model():\n    return Torn(4, 2)",
            "model fails on inputs [8, 4]: ValueError: a b",
        ),
        (
            "def augment(inputs):\n    return torch.cat([inputs, inputs])",
            "model: augment makes 16 rows of 8: each row must stay one",
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
    assert len(check_task(task_of(tmp_path, code))) == 4


def test_few_rows_that_are_repeated_are_told_but_no_problem(tmp_path: Path) -> None:
    code = """
def test():
    x, y = rows(300, 1)
    x[:2] = rows(80, 0)[0][:2]
    return x, y
"""
    found = inspect_task(task_of(tmp_path, code))
    assert found.problems == []
    assert found.summary[1:] == ["2 of 300 different test rows have the inputs of a training row"]


def test_checking_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    check_task(TASKS["digits"])
    assert torch.equal(torch.get_rng_state(), before)
