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


def test_file_that_is_no_task_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def train(): ...\n")
    ran = called(tmp_path, "check-task", "mine.py")
    assert ran.returncode == 2
    assert ran.stderr == "error: task file 'mine.py' must define test() and model()\n"


def test_data_directory_reaches_the_task(tmp_path: Path) -> None:
    ran = called(tmp_path, "check-task", "adult", "--data-dir", "nowhere")
    assert ran.returncode == 2
    assert "no adult.data or adult-train.csv in data directory 'nowhere'" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
