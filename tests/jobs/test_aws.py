"""jobs/aws.yaml is one that ``ray up`` takes, and its commands are ones that exist."""

from __future__ import annotations

import copy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from .commands import JOBS, options_of_ray_start

ROOT = JOBS.parent
CLUSTER: dict[str, Any] = yaml.safe_load((JOBS / "aws.yaml").read_text())
START = {"head": CLUSTER["head_start_ray_commands"], "gpu": CLUSTER["worker_start_ray_commands"]}


def of_ray_start(node: str) -> dict[str, Any]:
    (line,) = (line for line in START[node] if "ray start" in line)
    return options_of_ray_start(shlex.split(line.partition("ray start")[2]))


def test_rays_own_check_takes_it() -> None:
    validate_config(prepare_config(copy.deepcopy(CLUSTER)))


def test_rays_own_check_refuses_a_key_that_it_does_not_know() -> None:
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout"):
        validate_config(prepare_config({**copy.deepcopy(CLUSTER), "idle_timeout": 5}))


def test_gpu_machines_are_spot_and_go_when_idle_and_the_head_runs_no_trial() -> None:
    types = CLUSTER["available_node_types"]
    assert types[CLUSTER["head_node_type"]]["resources"] == {"CPU": 0}
    assert types["gpu"]["min_workers"] == 0
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert 0 < types["gpu"]["max_workers"] <= CLUSTER["max_workers"]
    assert CLUSTER["idle_timeout_minutes"] > 0


def test_what_is_copied_to_the_machines_is_what_an_installation_needs() -> None:
    copied = {value for value in CLUSTER["file_mounts"].values() if not value.startswith("~")}
    assert copied == {"pyproject.toml", "constraints.txt", "README.md", "adiw_tune"}
    assert all((ROOT / path).exists() for path in copied)


def test_dashboard_and_mlflow_answer_on_loopback_alone() -> None:
    assert of_ray_start("head")["dashboard_host"] == "127.0.0.1"
    (mlflow,) = (line for line in START["head"] if "mlflow server" in line)
    words = shlex.split(mlflow.partition("mlflow server")[2])
    assert words[words.index("--host") + 1] == "127.0.0.1"


def test_the_machines_authenticate_with_a_token_that_the_file_does_not_hold() -> None:
    assert CLUSTER["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("RAY_AUTH_MODE=token" in line for line in CLUSTER["setup_commands"])
    assert "RAY_AUTH_TOKEN=" not in (JOBS / "aws.yaml").read_text()


def test_workers_join_the_head() -> None:
    head, worker = of_ray_start("head"), of_ray_start("gpu")
    assert head["head"]
    assert worker["address"] == f"$RAY_HEAD_IP:{head['port']}"


@pytest.mark.parametrize("line", [*CLUSTER["setup_commands"], *START["head"], *START["gpu"]])
def test_each_command_is_one_for_the_shell(line: str) -> None:
    subprocess.run(["bash", "-n", "-c", f"true && ({line})"], check=True)


def test_a_new_shell_on_a_machine_has_the_environment_once(tmp_path: Path) -> None:
    (line,) = (line for line in CLUSTER["setup_commands"] if ".bashrc" in line)
    (tmp_path / ".bashrc").touch()
    for _ in range(2):
        subprocess.run(["bash", "-c", line], check=True, env={"HOME": str(tmp_path)})
    shown = 'source ~/.bashrc; echo "$RAY_AUTH_MODE ${PATH%%:*} $MLFLOW_TRACKING_URI"'
    shell = subprocess.run(
        ["bash", "-c", shown], env={"HOME": str(tmp_path)}, text=True, capture_output=True
    )
    assert shell.stdout == f"token {tmp_path}/venv/bin http://127.0.0.1:5000\n"
    assert len((tmp_path / ".bashrc").read_text().splitlines()) == 1
