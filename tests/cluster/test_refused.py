"""What cannot be submitted: one line, exit code 2, and nothing is sent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from adiw_tune.cli import main

from .conftest import Cluster

GOOD = "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"
OWN = "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0, 'task': %r}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory below another one, with a good space."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "good.py").write_text(GOOD)
    task = Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"
    (tmp_path / "task.py").write_text(task.read_text())
    (folder / ".task.py").write_text(task.read_text())
    (folder / "outside.py").write_text(OWN % "../task.py")
    (folder / "hidden.py").write_text(OWN % ".task.py")
    (folder / "labels.py").write_text(GOOD.replace("0}", "0, 'shift': 'labels:../far.csv#a'}"))
    (tmp_path / "space.py").write_text(GOOD)
    return folder


def refusal(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["adiw-tune", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["none.py"], "no space file 'none.py'"),
        (["../space.py"], "space file '../space.py' is not below '"),
        (["outside.py"], "task.py' is not below '"),
        (["hidden.py"], ".task.py' is not sent: its name is among those left out"),
        (["labels.py"], "labels file '"),
        (["good.py", "--exclude", "good*"], "space file 'good.py' is not sent"),
        (["good.py", "--name", "a/b"], "'a/b' cannot name a search"),
        (["good.py", "--tracking-uri", "sqlite:///a.db"], "'sqlite:///a.db' would lie in the job"),
        (["good.py", "--checkpoints", "kept"], "'kept' would lie in the job's folder"),
        (["good.py", "--trials", "0"], "--trials must be at least 1; got 0"),
        (["good.py", "--policy", "cheapest"], "unknown policy 'cheapest'"),
        (["good.py", "--budget", "soon"], "unknown budget 'soon'"),
        (["good.py", "--tracking-uri", "http://me:s3cret@h"], "the tracking URI holds a password"),
        (["good.py", "--checkpoints", "s3://me:s3cret@h/x"], "checkpoints holds a key"),
        (["good.py", "--env", "NOT_SET"], "--env NOT_SET: there is no such variable here"),
        (["good.py", "--env", "HOME"], "--env needs a cluster with a token"),
        (["good.py", "--pip", "none.txt"], "--pip none.txt: No such file"),
        (["good.py", "--pip", "x @ https://me:s3cret@h/x"], "--pip: an address holds a user's"),
        (["good.py", "--address", "http://127.0.0.1:9"], "no Ray dashboard answers at 'http://127"),
        (["good.py", "--address", "127.0.0.1:9"], "no Ray cluster at '127.0.0.1:9'"),
        (["good.py", "--address", "here"], "no Ray cluster at 'here'"),
        (["good.py", "--address", "ray://h:1"], "'ray://h:1' is no address of a job server"),
    ],
)
def test_a_search_that_cannot_be_submitted(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    line = refusal(["submit", "--name", "s", *options], monkeypatch, capsys)
    assert line.startswith("error: ")
    assert told in line
    assert "s3cret" not in line


@pytest.mark.parametrize("command", [["status", "s"], ["logs", "s"], ["stop", "s"], ["doctor"]])
def test_a_job_server_that_does_not_answer(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    line = refusal([*command, "--address", "http://127.0.0.1:9"], monkeypatch, capsys)
    assert "no Ray dashboard answers at 'http://127.0.0.1:9'" in line
    assert "ssh -L 8265:localhost:8265 HEAD" in line


@pytest.mark.parametrize("address", ["auto", "http://127.0.0.1:9"])
def test_a_doctor_repeats_no_secret(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    for option, told in (
        (("--tracking-uri", "http://me:s3cret@h"), "the tracking URI holds a password"),
        (("--checkpoints", "s3://b/x?secret_key=s3cret"), "checkpoints holds a key"),
    ):
        line = refusal(["doctor", "--address", address, *option], monkeypatch, capsys)
        assert told in line
        assert "s3cret" not in line


def test_a_storage_that_cannot_be_made_there() -> None:
    job = [sys.executable, "-m", "adiw_tune.cluster.job", "/proc/here", "search", "space.py"]
    ran = subprocess.run(job, text=True, capture_output=True)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: cannot make storage '/proc/here' on ")
    assert len(ran.stderr.splitlines()) == 1


def test_what_a_cluster_refuses(cluster: Cluster, tmp_path: Path) -> None:
    (cluster.folder / "refused.py").write_text(GOOD)
    search = ("search", "refused.py", "--name", "refused", "--address", cluster.nodes.address)
    begun = {
        "there is none here: set RAY_AUTH_MODE=token": cluster.begun(
            *search, RAY_AUTH_TOKEN="", RAY_AUTH_TOKEN_PATH=str(tmp_path / "none")
        ),
        "refuses the token: set RAY_AUTH_MODE=token": cluster.begun(
            "status", "s", "--address", cluster.nodes.address, RAY_AUTH_TOKEN="0" * 64
        ),
        "no search 's' on this cluster": cluster.begun("stop", "s", "--address", cluster.dashboard),
    }
    for told, process in begun.items():
        printed, error = process.communicate(timeout=240)
        assert (process.returncode, printed) == (2, ""), error
        assert told in error
        assert len(error.splitlines()) == 1
