"""What a task file may give for rows: nests, arrays, names, and targets of each kind."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import Split, StreamedSplit, check_task, parse_shift
from adiw_tune.tasks.arrays import as_tensor
from adiw_tune.tasks.contract import inspect_task
from adiw_tune.tasks.rows import loaded
from adiw_tune.training import TrainingRun, TrialConfig

from .test_own import task_of

NESTED = """
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(9, 4), nn.Linear(4, 2)
    def forward(self, tokens, mask):
        return self.last((self.words(tokens) * mask[..., None]).sum(1))

def model():
    return Two()

def rows(n, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(9, (n, 6), generator=generator)
    return {"tokens": tokens, "mask": tokens > 2}, (tokens[:, 0] > 4).long()
"""


def test_inputs_may_be_a_dict(tmp_path: Path) -> None:
    task = task_of(tmp_path, NESTED)
    found = inspect_task(task)
    assert (found.problems, found.remarks) == ([], [])
    assert found.summary == [
        "80 training rows, 30 test rows, 2 classes, inputs['tokens'] [6] int64, inputs['mask'] [6] "
        "bool"
    ]
    splits = task.splits(parse_shift("none"), 0)
    assert splits.reference.inputs["mask"].shape == (10, 6)
    assert task.network(splits)(splits.reference.inputs).shape == (10, 2)


ITEMS = """
from torch.utils.data import Dataset

class Mine(Dataset):
    def __init__(self, n, seed):
        self.rows = rows(n, seed)
    def __len__(self):
        return len(self.rows[1])
    def __getitem__(self, i):
        return {key: x[i] for key, x in self.rows[0].items()}, self.rows[1][i]

def train():
    return Mine(80, 0)
"""


def test_items_of_a_dataset_may_be_dicts(tmp_path: Path) -> None:
    memory = task_of(tmp_path, NESTED, name="memory.py")
    streamed = task_of(tmp_path, NESTED, ITEMS, name="streamed.py")
    assert check_task(streamed) == []
    rows = streamed.load(None).rows
    assert isinstance(rows, StreamedSplit)
    assert loaded(rows).digest() == memory.load(None).rows.digest()


NUMPY = """
first = rows

def rows(n, seed):
    x, y = first(n, seed)
    return x.double().numpy(), y.numpy()
"""
NAMES = """
first = rows

def rows(n, seed):
    x, y = first(n, seed)
    return x, ["dog" if label else "cat" for label in y]
"""


def test_arrays_are_taken_and_are_the_tensors_that_they_hold(tmp_path: Path) -> None:
    plain, arrays = task_of(tmp_path, name="plain.py"), task_of(tmp_path, NUMPY, name="arrays.py")
    assert check_task(arrays) == []
    one, other = (task.load(None).rows for task in (plain, arrays))
    assert one.digest() == other.digest()


def test_an_array_that_cannot_be_written_is_copied(tmp_path: Path) -> None:
    frozen = NUMPY.replace("x.double().numpy()", "np.broadcast_to(x.numpy(), x.shape)[::-1]")
    task = task_of(tmp_path, "import numpy as np", frozen)
    rows = task.load(None).rows
    assert isinstance(rows, Split)
    first = task_of(tmp_path, name="plain.py").load(None).rows
    assert isinstance(first, Split)
    assert torch.equal(rows.inputs, first.inputs.flip(0))


@pytest.mark.parametrize("dtype", ["u2", "u4", "u8", ">i8"])
def test_labels_and_inputs_may_be_integers_of_any_kind(tmp_path: Path, dtype: str) -> None:
    code = (
        "import numpy as np\nfirst = rows\n"
        "def rows(n, seed):\n    x, y = first(n, seed)\n"
        f"    return (x.numpy() * 100 + 1000).astype('{dtype}'), y.numpy().astype('{dtype}')\n"
        "class Floats(nn.Module):\n    def forward(self, x):\n        return x.float() / 100\n"
        "def model():\n    return nn.Sequential(Floats(), nn.Linear(4, 2))"
    )
    task = task_of(tmp_path, code)
    assert check_task(task) == []
    data = task.load(None)
    assert data.rows.labels.dtype == torch.int64
    plain = task_of(tmp_path, name="plain.py").load(None)
    assert torch.equal(data.rows.labels, plain.rows.labels)
    run = TrainingRun(TrialConfig(task=task.name, epochs=1, batch_size=16))
    assert run.run_epoch().unweighed == 0


def test_labels_that_int64_cannot_hold_are_refused(tmp_path: Path) -> None:
    large = "import numpy as np\ndef train():\n    x, y = rows(80, 0)\n"
    task = task_of(tmp_path, f"{large}    return x, np.full(80, 2**63, 'u8')")
    with pytest.raises(UserError, match=r"labels of train.* include numbers above 2\*\*63 - 1"):
        task.load(None)


def test_names_are_classes_in_their_order(tmp_path: Path) -> None:
    task = task_of(tmp_path, NAMES)
    data = task.load(None)
    assert (data.names, data.classes, data.targets) == (("cat", "dog"), 2, "classes")
    plain = task_of(tmp_path, name="plain.py").load(None)
    assert data.rows.digest() == plain.rows.digest()
    found = inspect_task(task)
    assert found.summary == [
        "80 training rows, 30 test rows, 2 classes (cat, dog), inputs [4] float32"
    ]


def test_of_two_names_the_second_is_1_where_targets_are_binary(tmp_path: Path) -> None:
    binary = "TARGETS = 'binary'\ndef model():\n    return nn.Linear(4, 1)"
    task = task_of(tmp_path, NAMES, binary)
    data, plain = task.load(None), task_of(tmp_path, name="plain.py").load(None)
    assert data.rows.labels.dtype == torch.float32
    assert torch.equal(data.rows.labels, plain.rows.labels.float())  # 1 is dog
    found = inspect_task(task)
    assert (found.problems, found.remarks) == ([], [])
    assert found.summary == [
        "80 training rows, 30 test rows, binary targets, one a row (cat, dog), inputs [4] float32"
    ]


def test_a_class_without_rows_is_told_by_its_name(tmp_path: Path) -> None:
    lacking = "def test():\n    x, y = rows(30, 1)\n    return x, ['cat'] * 30"
    assert inspect_task(task_of(tmp_path, NAMES, lacking)).remarks == [
        "no test rows, of 30, are of class dog"
    ]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def test():\n    x, y = rows(30, 1)\n    return x, ['bird', *y[1:]]",
            "labels of test() of '{path}' have the name 'bird', which no label of train() of "
            "'{path}' has: its names are cat, dog",
        ),
        (
            "def reference():\n    return first(30, 2)",
            "labels of reference() of '{path}' are numbers, those of train() of '{path}' names: "
            "give them alike",
        ),
        (
            "def train():\n    return first(30, 2)",
            "labels of test() of '{path}' are names, those of train() of '{path}' numbers: give "
            "them alike",
        ),
    ],
)
def test_names_that_do_not_agree_are_refused(tmp_path: Path, code: str, message: str) -> None:
    task = task_of(tmp_path, NAMES, code)
    with pytest.raises(UserError) as caught:
        task.load(None)
    assert str(caught.value) == message.format(path=tmp_path / "mine.py")


KINDS = {
    "rows(n, seed)": ("(y > 0)[:, None]", 1, "binary", [1]),
    "bits": ("y.float()", 1, "binary", []),
    "labels": ("(x > 0).long()", 4, "binary", [4]),
    "value": ("x.sum(1)", 1, "real", []),
    "values": ("x.numpy()", 4, "real", [4]),
}
OTHER = """
first = rows

def rows(n, seed):
    x, y = first(n, seed)
    return x, {labels}

def model():
    return nn.Linear(4, {k})
"""


@pytest.mark.parametrize("of", KINDS)
def test_targets_are_of_the_kind_that_they_look_like(tmp_path: Path, of: str) -> None:
    labels, k, kind, shape = KINDS[of]
    task = task_of(tmp_path, OTHER.format(labels=labels, k=k))
    data = task.load(None)
    assert (data.targets, data.classes) == (kind, k)
    assert data.rows.labels.dtype == torch.float32
    assert list(data.rows.labels.shape) == [80, *shape]
    found = inspect_task(task)
    assert (found.problems, found.remarks) == ([], [])
    each = f"{shape} a row" if shape else "one a row"
    assert f", {kind} targets, {each}, inputs" in found.summary[0]


OWN = OTHER.format(labels="torch.stack([x, x], 1)", k=4)
LOSS = """
def loss(outputs, targets):
    return (outputs[:, None] - targets).abs().mean((1, 2))

def metric(outputs, targets, groups):
    return loss(outputs, targets).mean()

GREATER_IS_BETTER = False
"""


def test_a_loss_may_take_any_targets(tmp_path: Path) -> None:
    task = task_of(tmp_path, OWN, LOSS)
    assert (task.load(None).targets, task.load(None).classes) == ("own", 0)
    found = inspect_task(task)
    assert (found.problems, found.remarks) == ([], [])
    assert found.summary == [
        "80 training rows, 30 test rows, own targets, [2, 4] a row, inputs [4] float32",
        "metric metric (lower is better)",
        "model: weights on features need the targets, which only loss() can read: only "
        "representation loss can be used",
    ]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (OWN, "labels are [80, 2, 4] torch.float32 of train() of '{path}', [30, 2, 4] torch.fl"),
        ("TARGETS = 'reals'", "TARGETS in '{path}' must be one of classes, binary, real, own; got"),
        ("TARGETS = ['real']", "TARGETS in '{path}' must be one of classes, binary, real, own; go"),
        ("TARGETS = 'own'", "TARGETS in '{path}' is own: define loss(outputs, targets) too"),
        ("TARGETS = 'real'", "model: outputs of 8 rows must be [8] or [8, 1]; they are [8, 2]"),
        ("TARGETS = 'binary'", "model: logits of 8 rows must be [8] or [8, 1]; they are [8, 2]"),
        (
            OTHER.format(labels="x.sum(1)", k=1) + "TARGETS = 'classes'",
            "labels of train() of '{path}' are no whole numbers: classes are 0, 1, ...",
        ),
        (
            OTHER.format(labels="x.sum(1)", k=1) + "TARGETS = 'binary'",
            "targets of train are not all 0 or 1, as binary ones must be",
        ),
        (
            OTHER.format(labels="x.sum(1)", k=1) + "CLASSES = 3",
            "CLASSES is for classes: the labels of train() of '{path}' are real",
        ),
        (
            OTHER.format(labels="y[:, None] + 2", k=1) + "TARGETS = 'classes'",
            "labels of train have shape [80, 1]: give [n]",
        ),
        (
            OTHER.format(labels="x[:, : seed + 1]", k=1),
            "targets of test are [2] a row, those of tra",
        ),
        (OTHER.format(labels="x[:, 0] / 0", k=1), "train has targets that are not finite"),
        (
            OTHER.format(labels="y", k=2) + "def loss(outputs, targets):\n    return outputs.sum()",
            "loss gives [] for 8 rows: give one loss a row, [8]",
        ),
        (
            OTHER.format(labels="y", k=2) + "def loss(outputs, targets):\n    return 3",
            "loss gives int for 8 rows: give one loss a row, [8]",
        ),
        (
            OTHER.format(labels="y", k=2) + "def loss(outputs, targets):\n    return outputs @ y",
            "loss fails on outputs [8, 2] and targets [8] torch.int64: NameError: name 'y' is not",
        ),
        (
            "def loss(outputs, targets):\n    return outputs[:, 0]\n"
            "def model():\n    return nn.Linear(4, 1)",
            'model: logits of 8 rows must be [8, 2]; they are [8, 1] (TARGETS = "own" leaves them',
        ),
        ("loss = 3", "'loss' in task file '{path}' must be a function"),
        (
            "def train():\n    x, y = rows(80, 0)\n    return {'x': x, 'z': x[1:]}, y",
            "inputs['z'] of train() of '{path}' have 79 rows, inputs['x'] have 80: give as many of",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return {'x': x, 'z': 'a'}, y",
            "inputs['z'] of train() of '{path}' are of type str: give a tensor",
        ),
        (
            "def test():\n    x, y = rows(30, 1)\n    return {'x': x}, y",
            "inputs of test are missing, those of train [4] torch.float32: they must be alike",
        ),
        (
            "def train():\n    x, y = rows(80, 0)\n    return {'x': x, 'z': x / 0}, y",
            "train has inputs['z'] that are not finite",
        ),
        (
            "from torch.utils.data import DataLoader, TensorDataset\n"
            "def train():\n    return DataLoader(TensorDataset(*rows(80, 0)), 16)",
            "train() of '{path}' gives a DataLoader: give its dataset, with the loader's own coll",
        ),
        (
            "def model():\n    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))",
            "model: logits of",
        ),
    ],
)
def test_fault_is_told_in_one_line(tmp_path: Path, code: str, problem: str) -> None:
    try:
        problems = check_task(task_of(tmp_path, code))
    except UserError as error:
        problems = [str(error)]
    told = problem.format(path=tmp_path / "mine.py")
    assert [line for line in problems if line.startswith(told)], problems
    assert not [line for line in problems if "\n" in line]


def test_a_network_may_give_an_object_with_logits(tmp_path: Path) -> None:
    for name, made in {"object": "Out(x)", "dict": "{'logits': x, 'loss': None}"}.items():
        code = (
            "class Out:\n    def __init__(self, logits):\n        self.logits = logits\n"
            "class Mine(nn.Linear):\n    def forward(self, x):\n"
            f"        x = super().forward(x)\n        return {made}\n"
            "def model():\n    return Mine(4, 2)"
        )
        task = task_of(tmp_path, code, name=f"{name}.py")
        assert check_task(task) == []


def test_a_sigmoid_before_binary_targets_is_remarked_on(tmp_path: Path) -> None:
    code = OTHER.format(labels="y.float()", k=1)
    ends = "def model():\n    return nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())"
    assert inspect_task(task_of(tmp_path, code, ends)).remarks == [
        "model: it ends in sigmoid: binary cross-entropy takes logits, so return what comes before "
        "sigmoid"
    ]


def test_float64_is_converted_before_any_copy() -> None:
    """An array on disk may be larger than the memory that its float32 values take."""
    given = np.arange(1_000_000, dtype=">f8")
    given.flags.writeable = False
    tracemalloc.start()
    try:
        x = as_tensor(given, "inputs")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert x.dtype == torch.float32
    assert torch.equal(x, torch.arange(1e6))
    assert most < 1.1 * x.nbytes
