"""What imports what: light imports for the core, and one direction between the rooms."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {
    "ray",
    "mlflow",
    "optuna",
    "pydantic",
    "pandas",
    "cvxopt",
    "sklearn",
    "torchvision",
    "plotly",
    "matplotlib",
    "typer",
}


def run_python(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module",
    [
        "adiw_tune",
        "adiw_tune.divergences",
        "adiw_tune.weights",
        "adiw_tune.tasks",
        "adiw_tune.training",
    ],
)
def test_core_imports_nothing_heavy_but_torch(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = run_python(code, ROOT)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_no_command_waits_for_the_compiler_to_be_imported() -> None:
    code = "import sys, adiw_tune.cli.app; print(*sys.modules)"
    done = run_python(code, ROOT)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "adiw_tune.weights.compiled" in loaded
    assert loaded.isdisjoint({"torch._dynamo", "ray", "mlflow", "optuna", "plotly"})


ABSENT = ("ray", "optuna", "mlflow", "pydantic", "cvxopt", "typer", "rich", "plotly", "matplotlib")
# What runs where GPUs are: all methods without the exact solver, and the speed benchmark's parts.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1:]))  # None: not to be imported
sys.path.insert(0, "benchmarks")
import torch
torch.set_num_threads(1)
from adiw_tune.tasks import TASKS
from adiw_tune.training import METHODS, TrainingRun, TrialConfig
from tests.training import small
TASKS["small"] = small.task(small.jitter)
for method in METHODS:
    if method not in ("diw", "diw-published"):
        run = TrainingRun(TrialConfig("small", method=method, epochs=2, batch_size=64))
        run.run_epoch(), run.run_epoch()

import speed
from speed import epoch, weight_scaling, weight_step
assert not any("QP" in name for name in weight_step.contestants(*weight_step.samples(None, "cpu")))
for kind, columns in weight_step.INPUTS.items():
    steps = weight_step.contestants(*weight_step.samples(columns, "cpu")).items()
    uncompiled = {name: step for name, step in steps if "compiled" not in name}
    assert all(weight_step.milliseconds_on_host(uncompiled, rounds=1).values())
assert weight_scaling.measure("mmd", 64, 64)["milliseconds"] > 0
names = [name for name in epoch.CONFIGS if "compiled" not in name]
assert "mmd" in names and "diw" not in names
batches = {n: epoch.Batches(n, {"task": "small", "batch_size": 64}, "cpu") for n in names}
assert all(one.time(1) > 0 for one in batches.values())
"""


def test_core_and_speed_benchmark_run_without_what_machines_with_gpus_lack() -> None:
    done = run_python(WITHOUT, ROOT, *ABSENT)
    assert done.returncode == 0, done.stderr


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Import-linter on the package in ``folder``, with the contracts of its pyproject.toml."""
    code = (
        "import sys; from importlinter.cli import lint_imports_command; "
        "sys.argv = ['lint-imports', '--no-cache']; lint_imports_command()"
    )
    return run_python(code, folder)


def test_imports_between_the_rooms_run_one_way() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("divergences/mmd.py", "import adiw_tune.weights.feasible", "Imports run one way"),
        ("weights/solver.py", "import adiw_tune.tasks.base", "Imports run one way"),
        ("training/loop.py", "import adiw_tune.search.on_ray.trainable", "Imports run one way"),
        ("tasks/base.py", "import adiw_tune.divergences.mmd", "Tasks know nothing of weights"),
        ("training/loop.py", "import optuna", "The core needs torch and little else"),
        ("weights/memory.py", "import pandas", "The core needs torch and little else"),
        ("decide/front.py", "import torch", "Deciding needs dataframes only"),
        ("record/history.py", "import ray", "A record is read without Ray and MLflow"),
        ("tracking/outbox.py", "import ray", "Tracking runs without Ray, torch and Optuna"),
        (
            "cli/results.py",
            "from ray import tune",
            "The command line reaches Ray through search only",
        ),
    ],
)
def test_an_import_the_wrong_way_breaks_its_contract(
    tmp_path: Path, file: str, line: str, contract: str
) -> None:
    shutil.copytree(
        ROOT / "adiw_tune", tmp_path / "adiw_tune", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "adiw_tune" / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout
