"""jobs/slurm.sh, with stand-ins for Slurm's commands and Ray's that tell what they were asked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ray.scripts.symmetric_run import curate_and_validate_ray_start_args, symmetric_run

from .commands import JOBS, options_of_adiw_tune, options_of_ray_start

SCRIPT = JOBS / "slurm.sh"
LINES = SCRIPT.read_text().splitlines()
DIRECTIVES = dict(
    line.removeprefix("#SBATCH --").partition("=")[::2]
    for line in LINES
    if line.startswith("#SBATCH")
)
# As the first task of srun would.
SRUN = """
while [ "$1" != bash ]; do shift; done
export SLURM_PROCID=0 SLURM_LAUNCH_NODE_IPADDR=10.0.0.1 SLURM_JOB_NUM_NODES=2
export SLURM_CPUS_ON_NODE=8 SLURM_GPUS_ON_NODE=4
"$@"
"""
RAY = """
stat -c %a "$RAY_AUTH_TOKEN_PATH" > mode
cp "$RAY_AUTH_TOKEN_PATH" token
env > environment
printf '%s\\n' "$@" > asked
exit 3
"""


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """A job's environment in which ``srun`` and ``ray`` write what they were asked."""
    for name, text in (("srun", SRUN), ("ray", RAY), ("scontrol", 'echo "$@" > requeued')):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/bash\n{text}")
        command.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "SLURM_JOB_ID": "7"}


def run(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
    )


def test_each_node_is_asked_for_what_slurm_gave_it_and_the_head_for_the_search(
    tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    run(tmp_path, stand_ins, "a space.py", "s", "--trials", "4")
    command, *asked = (tmp_path / "asked").read_text().splitlines()
    assert command == "symmetric-run"
    between = asked.index("--")
    of_ray = symmetric_run.make_context("symmetric-run", asked[:between]).params
    assert (of_ray["address"], of_ray["min_nodes"]) == ("10.0.0.1:6379", 2)
    of_start = options_of_ray_start(curate_and_validate_ray_start_args(asked[:between]))
    assert (of_start["num_cpus"], of_start["num_gpus"]) == (8, 4)
    of_search = options_of_adiw_tune(asked[between + 2 :])
    assert asked[between + 1] == "adiw-tune"
    assert (str(of_search["space"]), of_search["name"]) == ("a space.py", "s")
    assert (of_search["trials"], of_search["address"]) == (4, "auto")
    assert of_search["or_resume"]


def test_the_token_is_in_a_file_of_the_users_own_while_the_job_runs_and_nowhere_else(
    tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    done = run(tmp_path, stand_ins, "space.py", "s")
    token = (tmp_path / "token").read_text()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert (tmp_path / "mode").read_text() == "600\n"
    assert not list(tmp_path.glob(".ray-token*"))
    environment = (tmp_path / "environment").read_text()
    assert "RAY_AUTH_MODE=token\n" in environment
    assert token not in environment + done.stdout + done.stderr


def test_the_exit_code_is_the_searchs(tmp_path: Path, stand_ins: dict[str, str]) -> None:
    assert run(tmp_path, stand_ins, "space.py", "s").returncode == 3


def test_the_signal_that_the_job_asks_for_requeues_it(
    tmp_path: Path, stand_ins: dict[str, str]
) -> None:
    (tmp_path / "bin" / "srun").write_text("#!/bin/bash\ntouch running\nsleep 2 >/dev/null 2>&1\n")
    receiver, name = re.fullmatch(r"(B):(\w+)@\d+", DIRECTIVES["signal"]).groups()  # type: ignore[union-attr]
    assert receiver == "B"  # to the script itself, not to srun
    job = subprocess.Popen(["bash", str(SCRIPT), "space.py", "s"], cwd=tmp_path, env=stand_ins)
    while not (tmp_path / "running").exists():
        time.sleep(0.01)
    job.send_signal(signal.Signals[f"SIG{name}"])
    job.wait()
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


def test_directives_stand_before_the_first_command_and_let_a_job_be_requeued() -> None:
    first = next(n for n, line in enumerate(LINES) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in LINES[first:])
    assert {"nodes", "time", "requeue", "exclusive"} <= set(DIRECTIVES)
    assert DIRECTIVES["ntasks-per-node"] == "1"
    assert DIRECTIVES["open-mode"] == "append"  # or a requeued job would empty its log


def test_without_a_name_it_says_how_to_call_it(tmp_path: Path) -> None:
    done = run(tmp_path, dict(os.environ), "space.py")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: sbatch jobs/slurm.sh SPACE NAME")


@pytest.mark.parametrize("script", sorted(JOBS.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_ones_for_the_shell(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
