"""``adiw-tune check-task``: all problems, or ok and what the task is."""

from pathlib import Path

from .helpers import adiw_tune, called

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"


def test_task_without_problems_is_ok(tmp_path: Path) -> None:
    ran = adiw_tune(tmp_path, "check-task", str(EXAMPLE))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "3000 training rows, 1000 test rows, 5 classes, inputs [2] float32",
        "ok",
    ]


def test_task_may_be_one_that_is_shipped(tmp_path: Path) -> None:
    ran = called(tmp_path, "check-task", "digits")
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "ok"


def test_problems_are_told_a_line_each_with_exit_code_2(tmp_path: Path) -> None:
    faults = (
        "REFERENCE_SIZE = 5000\n\n\ndef train():\n    x, y = spiral(3000, 0)\n    return x / 0, y\n"
    )
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + faults)
    ran = called(tmp_path, "check-task", "mine.py")
    assert ran.returncode == 2
    assert "ok" not in ran.stdout.splitlines()
    first, second = ran.stderr.splitlines()
    assert first == "problem: train has inputs that are not finite"
    assert second.startswith("problem: reference_size 5000 and select_size 200 leave no training")


def test_sizes_of_the_clean_roles_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + "REFERENCE_SIZE = 5000\n")
    sizes = ("--reference-size", "100", "--select-size")
    assert called(tmp_path, "check-task", "mine.py", *sizes, "50").returncode == 0
    assert called(tmp_path, "check-task", "mine.py", *sizes, "2900").returncode == 2


def test_what_is_worth_knowing_is_told_but_no_problem(tmp_path: Path) -> None:
    layers = "nn.Unflatten(1, (2, 1)), nn.Conv1d(2, 5, 1), nn.Flatten()"
    network = f"\n\ndef model():\n    return nn.Sequential({layers})\n"
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + network)
    ran = called(tmp_path, "check-task", "mine.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[1:] == [
        "model: no nn.Linear is called: only representation loss can be used",
        "ok",
    ]


def test_what_looks_mistaken_is_a_remark_and_it_is_ok_all_the_same(tmp_path: Path) -> None:
    more = (
        "REFERENCE_SIZES = 9\ndel REFERENCE_SIZE\nCLASSES = 6\n\n\ndef model():\n"
        "    return nn.Sequential(nn.Linear(2, 6), nn.Softmax(1))\n"
    )
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + more)
    ran = called(tmp_path, "check-task", "mine.py")
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "ok"
    remarks = [
        "REFERENCE_SIZES means nothing in a task file: did you mean REFERENCE_SIZE?",
        "no reference, select or test rows are of class 5",
        "model: it ends in softmax: cross-entropy takes logits, so return what comes before "
        "softmax",
    ]
    assert ran.stderr.splitlines() == [f"remark: {line}" for line in remarks]
    quick = ("--epochs", "2", "--shift", "symmetric:0.3")
    ran = called(tmp_path, "train", "--task", "mine.py", *quick)
    assert ran.returncode == 0
    assert ran.stderr.splitlines()[:3] == [f"warning: mine.py: {line}" for line in remarks]


def test_file_that_is_no_task_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(): ...\n")
    ran = called(tmp_path, "check-task", "mine.py")
    assert ran.returncode == 2
    assert ran.stderr == "error: task file 'mine.py' must define test() and model()\n"


def test_data_directory_reaches_the_task(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ran = called(tmp_path, "check-task", "adult", "--data-dir", "empty")
    assert ran.returncode == 2
    assert "no adult.data or adult-train.csv in data directory 'empty'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_each_command_tells_a_dataset_without_a_length_in_one_line(tmp_path: Path) -> None:
    rows = (
        "class Rows(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n        return -1\n"
        "    def __getitem__(self, item):\n        raise OSError('no file')\n"
        "\n\ndef test():\n    return Rows()\n"
    )
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + rows)
    (tmp_path / "space.py").write_text("def space(trial):\n    return {'task': 'mine.py'}\n")
    before = sorted(tmp_path.iterdir())
    for command in (
        ("check-task", "mine.py"),
        ("train", "--task", "mine.py"),
        ("search", "space.py", "--name", "s", "--trials", "1"),
    ):
        ran = called(tmp_path, *command)
        (line,) = ran.stderr.splitlines()
        assert (ran.returncode, ran.stdout) == (2, ""), command
        assert "__len__ of test() of '" in line
        assert line.endswith("): give a whole number, 0 or more")
    assert sorted(tmp_path.iterdir()) == before


def test_an_optimizer_that_could_not_train_is_a_problem(tmp_path: Path) -> None:
    bad = "\n\ndef optimizer(model, config):\n    return torch.optim.LBFGS(model.parameters())\n"
    (tmp_path / "mine.py").write_text(EXAMPLE.read_text() + bad)
    ran = called(tmp_path, "check-task", "mine.py")
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("problem: optimizer() of 'mine.py' fails in an update (TypeError: ")
