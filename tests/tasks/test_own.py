"""A user's own task, from a file."""

import os
import sys
from pathlib import Path

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import Split, StreamedSplit, Task, check_task, find_task, parse_shift
from adiw_tune.tasks.watched import Watched
from adiw_tune.training import TrainingRun, TrialConfig

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"
BASE = """
import torch
from torch import nn

def rows(n, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=generator)
    return inputs, (inputs[:, 0] > 0).long()

def train():
    return rows(80, 0)

def test():
    return rows(30, 1)

def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

REFERENCE_SIZE, SELECT_SIZE = 10, 20
"""


def task_of(folder: Path, *more: str, base: str = BASE, name: str = "mine.py") -> Task:
    """The task of a file that holds ``base``, where ``more`` may define anew."""
    (folder / name).write_text("\n".join([base, *more]))
    return find_task(str(folder / name))


def test_rows_and_sizes_are_the_files(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    assert task.name == str(tmp_path / "mine.py")
    assert (task.reference_size, task.select_size) == (10, 20)
    data = task.load(None)
    assert data.classes == 2
    assert data.trusted is None
    assert isinstance(data.rows, Split)
    assert (len(data.rows), len(data.test)) == (80, 30)
    splits = task.splits(parse_shift("none"), 0)
    assert task.network(splits)(splits.reference.inputs).shape == (10, 2)


def test_path_may_be_relative_and_stays_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_task("mine.py").name == "mine.py"


def test_file_is_run_once_until_it_changes(tmp_path: Path) -> None:
    note = f"with open({str(tmp_path / 'runs')!r}, 'a') as runs:\n    runs.write('x')"
    task_of(tmp_path, note)
    for _ in range(3):
        find_task(str(tmp_path / "mine.py"))
    assert (tmp_path / "runs").read_text() == "x"
    task_of(tmp_path, note, "SELECT_SIZE = 7")
    later = (tmp_path / "mine.py").stat().st_mtime + 5
    os.utime(tmp_path / "mine.py", (later, later))
    assert find_task(str(tmp_path / "mine.py")).select_size == 7


def test_rows_that_are_trusted_leave_the_training_rows_as_they_came(tmp_path: Path) -> None:
    task = task_of(tmp_path, "def reference():\n    return rows(30, 2)")
    splits = task.splits(parse_shift("none"), 0)
    assert [len(role) for role in (splits.train, splits.reference, splits.select)] == [80, 10, 20]


def test_three_tensors_are_inputs_labels_and_groups(tmp_path: Path) -> None:
    task = task_of(tmp_path, "def train():\n    return *rows(80, 0), torch.arange(80) % 2")
    splits = task.splits(parse_shift("group-prior:inf"), 0)
    assert splits.train.groups is not None
    assert set(splits.train.groups.tolist()) == {0}
    assert check_task(task) == []


def test_augment_is_the_files(tmp_path: Path) -> None:
    task = task_of(tmp_path, "def augment(inputs):\n    return inputs + 1")
    assert task.augment is not None
    assert task.augment(torch.zeros(2)).tolist() == [1, 1]
    assert check_task(task) == []


def test_function_with_an_argument_is_given_the_data_directory(tmp_path: Path) -> None:
    read = "def train(data_dir):\n    return torch.load(data_dir / 'rows.pt', weights_only=True)"
    torch.save([torch.zeros(5, 4), torch.arange(5)], tmp_path / "rows.pt")
    task = task_of(tmp_path, read)
    assert len(task.load(tmp_path).rows) == 5
    with pytest.raises(UserError, match=r"train\(\) of '.*mine.py' fails: TypeError: .*line 22"):
        task.load(None)


def test_a_missing_data_directory_is_named_where_a_function_fails_without_it(
    tmp_path: Path,
) -> None:
    read = "def train(data_dir):\n    return (data_dir / 'rows.csv').read_text()"
    with pytest.raises(UserError, match=r"TypeError: .*; data_dir is None: if train\(\) needs"):
        task_of(tmp_path, read).load(None)
    with pytest.raises(UserError, match=r"fails: FileNotFoundError: [^;]*$"):
        task_of(tmp_path, read).load(tmp_path)
    with pytest.raises(UserError, match=r"fails: AttributeError: 'NoneType' [^;]*$"):
        task_of(tmp_path, "def train():\n    return None.group").load(None)


@pytest.mark.parametrize(
    "asking", ["data_dir=None", "*, data_dir", "n=80, *, data_dir=None", "folder", "folder, n=80"]
)
def test_data_directory_is_given_to_a_function_that_asks_for_it(
    tmp_path: Path, asking: str
) -> None:
    told = "folder" if "folder" in asking else "data_dir"
    code = f"def train({asking}):\n    assert {told}.is_dir()\n    return rows(80, 0)"
    assert len(task_of(tmp_path, code).load(tmp_path).rows) == 80


@pytest.mark.parametrize(
    "code",
    [
        "def train(seed=0):\n    return rows(80, seed)",
        "def train(*, n=80):\n    return rows(n, 0)",
        "def train(*numbers, **more):\n    return rows(80, *numbers, seed=0, **more)",
        "from functools import partial\ntrain = partial(rows, n=80, seed=0)",
        "from functools import partial\ntrain = partial(rows, 80, seed=0)",
    ],
)
def test_data_directory_is_not_given_to_one_that_has_other_defaults(
    tmp_path: Path, code: str
) -> None:
    assert len(task_of(tmp_path, code).load(tmp_path).rows) == 80


def test_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_at_once.py").write_text("CLASSES = 3")
    (tmp_path / "beside_later.py").write_text("N = 70")
    later = "def train():\n    from beside_later import N\n    return rows(N, 0)"
    before = list(sys.path)
    data = task_of(tmp_path, "from beside_at_once import CLASSES", later).load(None)
    assert (data.classes, len(data.rows)) == (3, 70)
    assert sys.path == before


def test_path_that_a_file_adds_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "of_the_files_own.py").write_text("N = 70")
    adds = f"import sys\nsys.path.insert(0, {str(tmp_path / 'library')!r})"
    later = "def train():\n    from of_the_files_own import N\n    return rows(N, 0)"
    assert len(task_of(tmp_path, adds, later).load(None).rows) == 70


def test_a_file_may_change_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moves.py").write_text(
        f"import os\nos.chdir('/')\n{(tmp_path / 'mine.py').read_text()}"
    )
    assert find_task("moves.py").name == "moves.py"


def test_constants_may_be_numpys(tmp_path: Path) -> None:
    task = task_of(tmp_path, "import numpy as np", "CLASSES = SELECT_SIZE = np.int64(3)")
    assert (task.select_size, task.load(None).classes) == (3, 3)


def test_state_of_its_own_is_what_model_loads(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    splits = task.splits(parse_shift("none"), 0)
    network, inputs = task.network(splits), splits.reference.inputs
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    model.load_state_dict(network.module.state_dict())
    assert torch.equal(model(inputs), network(inputs))
    shipped = find_task("adult").networks["mlp"](torch.Size([4]), 2)
    assert shipped.module.state_dict().keys() == shipped.state_dict().keys()


def test_classes_are_counted_in_the_labels_unless_told(tmp_path: Path) -> None:
    assert task_of(tmp_path, "CLASSES = 7").load(None).classes == 7


DATASET = """
from torch.utils.data import Dataset

class Mine(Dataset):
    def __init__(self, n, seed):
        self.inputs, self.labels = rows(n, seed)
        self.groups = torch.arange(n) % 3
    def __len__(self):
        return len(self.inputs)
    def __getitem__(self, i):
        return self.inputs[i], int(self.labels[i])

def train():
    return Mine(80, 0)
"""


def test_dataset_is_streamed_and_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = task_of(tmp_path, name="memory.py")
    losses = []
    for workers in ("0", "2"):
        monkeypatch.setenv("ADIW_WORKERS", workers)
        streamed = task_of(tmp_path, DATASET)
        assert isinstance(streamed.load(None).rows, StreamedSplit)
        assert check_task(streamed) == []
        for task in (streamed, memory):
            run = TrainingRun(TrialConfig(task=task.name, epochs=2, batch_size=16))
            losses.append([run.run_epoch().loss, run.run_epoch().loss])
    assert all(loss == losses[0] for loss in losses)


def test_the_length_of_a_dataset_may_be_numpys(tmp_path: Path) -> None:
    code = DATASET.replace("return len(self.inputs)", "return np.int64(len(self.inputs))")
    task = task_of(tmp_path, "import numpy as np", code)
    assert len(task.load(None).rows) == 80
    assert check_task(task) == []


def test_dataset_may_have_groups(tmp_path: Path) -> None:
    splits = task_of(tmp_path, DATASET).splits(parse_shift("group-prior:inf"), 0)
    assert splits.train.groups is not None
    assert set(splits.train.groups.tolist()) == {0}


def test_tensor_dataset_is_in_memory(tmp_path: Path) -> None:
    code = (
        "from torch.utils.data import TensorDataset\n"
        "def train():\n    return TensorDataset(*rows(80, 0))"
    )
    assert isinstance(task_of(tmp_path, code).load(None).rows, Split)


def test_features_are_what_the_last_linear_layer_is_given(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    splits = task.splits(parse_shift("none"), 0)
    network = task.network(splits)
    assert isinstance(network, Watched)
    layers = network.model
    features, logits = network.outputs(splits.reference.inputs)
    assert isinstance(layers, torch.nn.Sequential)
    assert torch.equal(features, layers[:2](splits.reference.inputs))
    assert torch.equal(logits, layers(splits.reference.inputs))
    assert torch.equal(network(splits.reference.inputs), logits)


class Backwards(torch.nn.Module):
    """Its last layer is the first to be named, and its first is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.nn.Linear(4, 3)
        self.first = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.first(self.first(x)))
        return logits


def test_last_layer_is_the_last_to_run_not_to_be_named() -> None:
    model = Backwards()
    x = torch.rand(2, 4)
    features, _ = Watched(model).outputs(x)
    assert torch.equal(features, model.first(model.first(x)))


def test_logits_are_the_features_where_no_layer_is_linear() -> None:
    features, logits = Watched(torch.nn.Flatten()).outputs(torch.rand(2, 4))
    assert features is logits


def test_watching_keeps_no_graph_alive() -> None:
    network = Watched(Backwards())
    network.outputs(torch.rand(2, 4))
    assert network._given == []


def test_network_of_the_files_is_taken_as_it_is(tmp_path: Path) -> None:
    code = (
        "from adiw_tune.tasks import Network\n"
        "def model():\n    return Network(nn.Linear(4, 8), nn.Linear(8, 2))"
    )
    task = task_of(tmp_path, code)
    network = task.network(task.splits(parse_shift("none"), 0))
    assert not isinstance(network, Watched)
    assert network.outputs(torch.rand(3, 4))[0].shape == (3, 8)


# An error that is no Exception, and fails itself when it is asked what it says.
def test_example_passes_the_contract() -> None:
    assert check_task(find_task(str(EXAMPLE))) == []


def test_example_learns_more_from_weighted_rows() -> None:
    def accuracy(method: str) -> float:
        config = TrialConfig(
            task=str(EXAMPLE), shift="pair:0.45", method=method, epochs=30, batch_size=64
        )
        run = TrainingRun(config)
        while not run.finished:
            run.run_epoch()
        return run.metrics(run.splits.test)["accuracy"]

    # Measured on two seeds: 0.82 and 0.92 against 0.68 and 0.68.
    assert accuracy("adiw") > accuracy("erm") + 0.05
