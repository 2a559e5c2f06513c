"""A network tried on a few rows: each fault is told in one line, by check_task and before a run."""

import re
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Task, check_network, check_task, parse_shift
from adiw_tune.tasks.contract import inspect_task

from .test_own import task_of


def check(task: Task, name: str | None = None, features: bool = False) -> None:
    check_network(task, task.splits(parse_shift("none"), 0), name, features)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("def model():\n    return 3", "model() of '{path}' gives int: give an nn.Module"),
        (
            "def model():\n    return nn.Linear(4, 3)",
            "model: logits of 8 rows must be [8, 2]; they are [8, 3] (is the number of classes "
            "right?)",
        ),
        (
            "CLASSES = 3\n\ndef model():\n    return nn.Linear(4, 1)",
            "model: logits of 8 rows must be [8, 3]; they are [8, 1] (is the number of classes "
            "right? give real values as floats)",
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
            "class Two(nn.Linear):\n    def forward(self, x):\n        x = super().forward(x)\n"
            "        return (x, x) if self.training else x\ndef model():\n    return Two(4, 2)",
            "model: logits of 8 rows must be [8, 2]; they are tuple in training mode",
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
            "class Torn(nn.Linear):\n    def forward(self, x):\n        raise ValueError('a\\nb')\n"
            "def model():\n    return Torn(4, 2)",
            "model fails on inputs [8, 4] torch.float32: ValueError: a b",
        ),
        (
            "import sys\ndef model():\n    sys.exit('no')",
            "model() of '{path}' fails: SystemExit: no (line 23)",
        ),
        (
            "class Leaving(nn.Linear):\n    def forward(self, x):\n        raise SystemExit(3)\n"
            "def model():\n    return Leaving(4, 2)",
            "model fails on inputs [8, 4] torch.float32: SystemExit: 3",
        ),
        (
            "def augment(inputs):\n    return torch.cat([inputs, inputs])",
            "augment makes inputs [16, 4] torch.float32 of inputs [8, 4] torch.float32: it must "
            "keep shape and dtype",
        ),
        (
            "def augment(inputs):\n    return inputs.double()",
            "augment makes inputs [8, 4] torch.float64 of inputs [8, 4] torch.float32: it must "
            "keep shape and dtype",
        ),
        (
            "def augment(inputs):\n    inputs += 1",
            "augment gives NoneType for inputs [8, 4] torch.float32: give a tensor",
        ),
        (
            "def augment(inputs):\n    raise RuntimeError('a\\nb')",
            "augment fails on inputs [8, 4] torch.float32: RuntimeError: a b",
        ),
    ],
)
def test_fault_is_told_in_one_line(tmp_path: Path, code: str, problem: str) -> None:
    task = task_of(tmp_path, code)
    told = problem.format(path=tmp_path / "mine.py")
    assert check_task(task) == [told]
    with pytest.raises(UserError) as caught:
        check(task)
    assert str(caught.value) == f"{told}; run 'adiw-tune check-task {task.name}' for all problems"


CONVOLUTION = """
def model():
    return nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 2, 1), nn.Flatten())
"""
TOKENS = """
class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.each = nn.Linear(2, 2)
    def forward(self, x):
        return self.each(x.reshape(-1, 2)).reshape(-1, 2, 2).sum(1)

def model():
    return Tokens()
"""


@pytest.mark.parametrize(
    ("code", "why"),
    [(CONVOLUTION, "no nn.Linear is called"), (TOKENS, "features of 8 rows are [16, 2]")],
)
def test_network_without_features_can_be_trained(tmp_path: Path, code: str, why: str) -> None:
    task = task_of(tmp_path, code)
    found = inspect_task(task)
    assert found.problems == []
    assert found.summary[1:] == [f"model: {why}: only representation loss can be used"]
    check(task)
    with pytest.raises(UserError, match=f"model: {re.escape(why)}: only representation loss can"):
        check(task, features=True)


def test_networks_that_are_shipped_can_be_trained() -> None:
    for name in (None, "small-cnn"):
        check(TASKS["digits"], name, features=True)
    with pytest.raises(UserError, match="'digits' has no network 'vgg': choose one of small-cnn"):
        check(TASKS["digits"], "vgg")


def test_trying_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    task = task_of(tmp_path, "def augment(inputs):\n    return inputs + torch.rand_like(inputs)")
    before = torch.get_rng_state()
    check(task)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("code", "repeats"),
    [
        ("inputs + torch.rand_like(inputs)", True),
        ("inputs.add_(torch.rand_like(inputs))", True),
        ("inputs * random.random()", False),
        ("inputs + torch.from_numpy(np.random.rand(*inputs.shape)).float()", False),
        (
            "inputs * np.random.default_rng(int(torch.randint(9999, ()))).random()",
            True,
        ),
    ],
)
def test_augmentation_that_the_seed_does_not_fix_is_refused(
    tmp_path: Path, code: str, repeats: bool
) -> None:
    imports = "import random\nimport numpy as np\n"
    task = task_of(tmp_path, f"{imports}def augment(inputs):\n    return {code}")
    if repeats:
        check(task)
        return
    told = r"model: augment\(\) gives other inputs with the same seed, .*: draw random numbers with"
    with pytest.raises(UserError, match=told):
        check(task)
