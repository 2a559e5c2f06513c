"""What a user's task file gives that cannot be trained on: refused, in one line."""

from pathlib import Path

import pytest

from adiw_tune.errors import UserError
from adiw_tune.search.request import check_data
from adiw_tune.tasks import check_task, find_task, parse_shift
from adiw_tune.training import TrainingRun, TrialConfig

from .test_own import DATASET, task_of

MUTE = """class Mute(BaseException):
    def __str__(self):
        raise ValueError
raise Mute"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", r"task file '.*mine.py' does not run: ZeroDivisionError: .* \(line 21\)"),
        ("def (", "task file '.*mine.py' does not run: SyntaxError"),
        ("raise SystemExit(1)", "does not run: SystemExit"),
        ("raise GeneratorExit", "does not run: GeneratorExit"),
        (MUTE, r"does not run: Mute: it cannot be told \(line 24\)"),
        ("del train", r"task file '.*mine.py' must define train\(\)"),
        ("del train, test\nmodel = 3", r"must define train\(\) and test\(\) and model\(\)"),
        ("augment = 0.5", "'augment' in task file '.*mine.py' must be a function"),
        ("SELECT_SIZE = True", "SELECT_SIZE in '.*mine.py' must be a whole number above 0; got T"),
        ("SELECT_SIZE = 2.5", "SELECT_SIZE in '.*mine.py' must be a whole number above 0; got 2"),
        ("SELECT_SIZE = 0", "SELECT_SIZE in '.*mine.py' must be a whole number above 0; got 0"),
        ("SELECT_SIZE = 'many'", "SELECT_SIZE in '.*mine.py' must be a whole number above 0"),
    ],
)
def test_file_that_is_no_task_is_refused_in_one_line(
    tmp_path: Path, code: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        task_of(tmp_path, code)
    assert "\n" not in str(caught.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no task file 'nowhere/mine\.py': give a Python file"):
        find_task("nowhere/mine.py")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return 3", r"train\(\) of '.*mine.py' gives int: give \(inputs, labels\), or a Dataset"),
        ("return [1, 2]", r"inputs of train\(\) of '.*' are a single number: give a tensor \[n,"),
        ("return {}, torch.zeros(5)", r"inputs of train.* hold no tensor: give one, or dicts and"),
        ("return (rows(5, 0)[0],)", r"gives \(Tensor\): give"),
        ("return iter([])", r"gives list_iterator: give"),
        ("raise RuntimeError('a\\nb')", r"train\(\) of '.*' fails: RuntimeError: a b \(line 22\)"),
        ("raise SystemExit('no data')", r"train\(\) of '.*' fails: SystemExit: no data \(line 22"),
        ("raise GeneratorExit", r"train\(\) of '.*' fails: GeneratorExit"),
        ("pass\nasync def train(): pass", "gives coroutine: give"),
        (
            "return torch.zeros(5, 4), torch.arange(5.0)",
            r"labels are \[5\] torch.float32 of train.*, \[",
        ),
        ("return torch.zeros(5, 4), torch.zeros(4).long()", r"shape \[4\]: give one for each of 5"),
        (
            "return torch.zeros(5, 4), torch.zeros(5, 1, 1).long()",
            r"labels are \[5, 1, 1\] torch.in",
        ),
        ("return *rows(5, 0), torch.zeros(3).long()", r"groups of train.* have shape \[3\]: give"),
        (
            "return torch.zeros(3, 4), ['10.5', '2.5', '7']\nTARGETS = 'real'; test = train",
            r"labels of train\(\) of '.*' are names \(10.5, 2.5, 7\): give numbers for real tar",
        ),
        (
            "return torch.zeros(2, 4), ['no', 'yes']\nTARGETS = 'own'\nloss = test = train",
            r"labels of train\(\) of '.*' are names \(no, yes\): give numbers for own targets",
        ),
        (
            "return torch.zeros(3, 4), ['no', 'yes', 'maybe']\nTARGETS = 'binary'; test = train",
            r"are 3 names \(maybe, no, yes\): binary targets take 2, of which the second in al",
        ),
        (
            "return torch.zeros(5, 4), torch.ones(5) + 1j\nTARGETS = 'real'; test = train",
            r"labels of train\(\) of '.*' are torch.complex64: give integers or floats",
        ),
    ],
)
def test_rows_of_the_wrong_kind_are_refused_in_one_line(
    tmp_path: Path, code: str, message: str
) -> None:
    task = task_of(tmp_path, f"def train():\n    {code}")
    with pytest.raises(UserError, match=message) as caught:
        task.load(None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("return 3", r"model\(\) of '.*mine.py' gives int: give an nn.Module"),
        ("return nn.Linear()", r"model\(\) of '.*mine.py' fails: TypeError: .* \(line 22\)"),
    ],
)
def test_model_that_is_none_is_refused_in_one_line(tmp_path: Path, code: str, message: str) -> None:
    task = task_of(tmp_path, f"def model():\n    {code}")
    with pytest.raises(UserError, match=message) as caught:
        task.network(task.splits(parse_shift("none"), 0))
    assert "\n" not in str(caught.value)


def test_networks_with_common_parameters_are_refused(tmp_path: Path) -> None:
    same = "two calls share trainable parameters, so one run would go on from where another ended"
    body = "BODY = nn.Linear(4, 8)\n"
    shared = body + "def model():\n    return nn.Sequential(BODY, nn.ReLU(), nn.Linear(8, 2))"
    assert check_task(task_of(tmp_path, shared)) == [
        f"model: {same}: make the network anew in each call"
    ]
    frozen = shared.replace("(4, 8)", "(4, 8).requires_grad_(False)")
    assert check_task(task_of(tmp_path, frozen, name="frozen.py")) == []
    copied = shared.replace("BODY, ", "copy.deepcopy(BODY), ")
    assert check_task(task_of(tmp_path, "import copy", copied, name="copied.py")) == []


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (
            "def train():\n    return rows(80, int(torch.randint(2**62, ())))",
            "rows of train differ from one load to the next, so no two runs would be alike: seed "
            "every draw inside train(), test() and reference()",
        ),
        (
            "class Noisy(torch.utils.data.Dataset):\n"
            "    targets = [0, 1] * 40\n"
            "    def __len__(self):\n        return 80\n"
            "    def __getitem__(self, item):\n        return torch.randn(4), item % 2\n"
            "def train():\n    return Noisy()",
            "reading a row of train twice gives different inputs: what is random belongs in "
            "augment(inputs)",
        ),
    ],
)
def test_rows_that_differ_from_one_reading_to_the_next_are_refused(
    tmp_path: Path, code: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "0")
    assert check_task(task_of(tmp_path, code)) == [problem]
    config = TrialConfig.from_mapping({"task": str(tmp_path / "mine.py"), "batch_size": 16})
    with pytest.raises(UserError) as caught:
        check_data([config], None)
    told = problem.replace("of train differ", "of train, reference, select differ")  # drawn from it
    assert str(caught.value) == f"{told}; run 'adiw-tune check-task {config.task}' for all problems"


SORTING = """
class Sentences(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        self.words = torch.randint(1, 50, (n, 8), generator=torch.Generator().manual_seed(seed))
    def __len__(self):
        return len(self.words)
    def __getitem__(self, i):
        return self.words[i, : 2 if i % 15 == 14 else 8], int(self.words[i, 0] > 25)
    def collate_fn(self, items):
        items = sorted(items, key=lambda item: -len(item[0]))
        words = nn.utils.rnn.pad_sequence([words for words, _ in items], batch_first=True)
        return words, {labels}

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(50, 4), nn.Linear(4, 2)
    def forward(self, words):
        return self.last(self.words(words).mean(1))

def model():
    return Mean()

rows = Sentences
"""


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (
            "torch.tensor([label for _, label in items])",
            "the labels of these items: keep the items in order, and their labels unchanged",
        ),
        (
            "None",
            "reorders its items: keep their order, since labels are matched to rows by it",
        ),
    ],
)
def test_a_collate_fn_that_sorts_is_refused_before_training(
    tmp_path: Path, labels: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "0")
    task = task_of(tmp_path, SORTING.replace("{labels}", labels))
    problems = check_task(task)
    assert [problem for problem in problems if problem.endswith(told)] == problems != []
    with pytest.raises(UserError) as caught:
        TrainingRun(TrialConfig(task=task.name, batch_size=16))
    assert told in str(caught.value)
    kept = SORTING.replace("{labels}", labels).replace(
        "sorted(items, ", "(lambda items, key: items)(items, "
    )
    assert check_task(task_of(tmp_path, kept, name="kept.py")) == []


def test_rows_that_follow_from_the_seed_are_compared_with_their_own(tmp_path: Path) -> None:
    values = {"task": task_of(tmp_path).name, "batch_size": 16}
    one, two = {"seed": 1}, {"seed": 2, "representation": "feature", "epochs": 1}
    configs = [TrialConfig.from_mapping({**values, **some}) for some in (one, two)]
    assert check_data(configs, None)[0] == configs[1].remarks()
    assert check_data(configs[::-1], None)[0] == configs[1].remarks() != []


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def __len__(self): return -1", "__len__ of {} fails (ValueError: __len__() should"),
        ("def __len__(self): raise OSError('gone\\naway')", "__len__ of {} fails (OSError: gone a"),
        ("def __len__(self): raise SystemExit", "__len__ of {} fails (SystemExit:)"),
        ("def __len__(self): return 80.0", "__len__ of {} fails (TypeError: 'float' object "),
        ("def __len__(self): pass", "__len__ of {} fails (TypeError: 'NoneType' object "),
        ("def __len__(self): return 2**70", "__len__ of {} fails (OverflowError: "),
        (
            "n = 80\n    def __len__(self):\n        self.n -= 1\n        return self.n",
            "__len__ of {} gives 79, and then 78: give the same each time",
        ),
        ("def __getitem__(self, i): return 1 / (i - 3)", "item 0 of {} cannot be read as an (in"),
        ("def __getitem__(self, i): return self.inputs[i], 1 // (i - 3)", "item 3 of {} cannot"),
        (
            "def __getitem__(self, i): return self.inputs[i][: 4 - (i == 3)], 0",
            "item 3 of {} has inputs [3] torch.float32, another has inputs [4] torch.float32: make",
        ),
        ("targets = property(lambda self: 1 / 0)", "{} gives Mine, which fails (ZeroDivisionError"),
        ("groups = property(lambda self: {}[0])", "{} gives Mine, which fails (KeyError: 0"),
        ("tensors = property(lambda self: 1 / 0)", "{} gives Mine, which fails (ZeroDivisionErro"),
    ],
)
@pytest.mark.parametrize("name", ["train", "test"])
def test_a_dataset_that_fails_is_told_in_one_line_that_names_the_split(
    tmp_path: Path, name: str, code: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "0")
    plain = DATASET.replace("self.groups = torch.arange(n) % 3", "pass")
    spoilt = f"class Spoilt(Mine):\n    {code}\nSpoilt.__name__ = 'Mine'"
    task = task_of(tmp_path, plain, spoilt, f"def {name}():\n    return Spoilt(80, 3)")
    (problem,) = check_task(task)
    assert problem.startswith(told.replace("{}", f"{name}() of '{task.name}'", 1))
    assert "\n" not in problem

    def train() -> None:
        run = TrainingRun(TrialConfig(task=task.name, epochs=1))
        run.run_epoch()
        run.metrics(run.splits.test)

    with pytest.raises(UserError) as caught:
        train()
    assert f"{name}() of '{task.name}'" in str(caught.value)
    assert "\n" not in str(caught.value)
