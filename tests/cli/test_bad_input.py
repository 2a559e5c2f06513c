"""Bad input: exit code 2, one line that names it, no traceback, nothing written."""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import pytest

from adiw_tune.cli import main
from adiw_tune.cli.app import command_line

from .conftest import Finished
from .helpers import adiw_tune

BROKEN = """
class Broken:
    def prepare(self, source, target):
        return self

    def at(self, w):
        return w.sum(), w.sum(), w.sum()


DIVERGENCE = Broken()
"""
GOOD = "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good space, a bad data directory, and nothing else."""
    for name in ("MLFLOW_TRACKING_URI", "ADIW_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08")[:-4])
    return tmp_path


def refusal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run the command line here; what it says, once it is known to have left no trace."""
    before = sorted(Path.cwd().rglob("*"))
    monkeypatch.setattr(sys, "argv", ["adiw-tune", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert sorted(Path.cwd().rglob("*")) == before
    return line


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("'divergence': 'js'", "unknown divergence 'js'"),
        ("'task': 'mnist'", "unknown task 'mnist'"),
        ("'shift': 'rotation:3'", "'rotation"),
        ("'shift': 'symmetric:1.0'", "1.0"),
        ("'shift': 'pair:-0.1'", "-0.1"),
        ("'shift': 'group-prior:5'", "shift group-prior needs rows in groups"),
        ("'network': 'vgg'", "task 'digits' has no network 'vgg'"),
        ("'divergence': 'auto', 'bandwidth': 1.0", "leave it out"),
        ("'divergence': 'own.py'", "no divergence file '"),
        ("'divergence': 'broken.py'", "broken.py': gradient must have shape [20]; it has []"),
        ("'task': 'own.py'", "no task file '"),
        ("'method': 'kmm'", "unknown method 'kmm'"),
        ("'reference_size': 5000", "reference_size 5000"),
        ("'epohcs': 1", "unknown parameter 'epohcs'"),
        ("'task': 'fashion-mnist'", "train-images-idx3-ubyte.gz' is damaged"),
    ],
)
def test_a_space_that_asks_for_what_there_is_not(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    values: str,
    told: str,
) -> None:
    (here / "bad.py").write_text(
        f"def space(trial):\n    return {{'epochs': 1, 'warmup_epochs': 0, {values}}}\n"
    )
    arguments = ["search", "bad.py", "--name", "s", "--data-dir", "data"]
    assert told in refusal(arguments, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["none.py"], "no space file 'none.py'"),
        (["file"], "does not run: SyntaxError"),
        (["good.py", "--name", "a/b"], "'a/b' cannot name a search"),
        (["good.py", "--name", "../s"], "'../s' cannot name a search"),
        (["good.py", "--name", ".."], "'..' cannot name a search"),
        (["good.py", "--name", ""], "--name is empty: give a value, or leave it out"),
        (["good.py", "--name", "data", "--storage", "."], "search 'data' exists in '.'"),
        (["good.py", "--trials", "0"], "--trials must be at least 1; got 0"),
        (["good.py", "--concurrency", "-1"], "--concurrency must be at least 1; got -1"),
        (["good.py", "--cpus-per-trial", "0"], "--cpus-per-trial must be at least 1; got 0"),
        (["good.py", "--workers-per-trial", "0"], "--workers-per-trial must be at least 1; got 0"),
        (["good.py", "--workers-per-trial", "1000"], "a trial would take 1000 cores"),
        (["good.py", "--gpus-per-trial", "1.5"], "or a whole number; got 1.5"),
        (["good.py", "--gpus-per-trial", "1000"], "a trial would take 1000 GPU"),
        (["good.py", "--gpus-per-trial", "nan"], "or a whole number; got nan"),
        (["good.py", "--gpus-per-trial", "inf"], "or a whole number; got inf"),
        (
            ["good.py", "--gpus-per-trial", "0.5", "--workers-per-trial", "2"],
            "a trial would take 2 GPU",
        ),
        (["good.py", "--seeds", "-1"], "--seeds must be at least 0; got -1"),
        (["good.py", "--seeds", "2"], "--seeds must be 0 or at least 3"),
        (["good.py", "--patience", "0"], "--patience must be at least 1; got 0"),
        (["good.py", "--cross-fit", "1"], "--cross-fit must be at least 2; got 1"),
        (["good.py", "--policy", "cheapest"], "unknown policy 'cheapest'"),
        (["good.py", "--budget", "soon"], "unknown budget 'soon'"),
        (["good.py", "--budget", "$5"], "budget '$5' needs --price above 0"),
        (["good.py", "--price", "2"], "--price is for a budget in $: give one such as"),
        (["good.py", "--price", "2", "--budget", "5m"], "--price is for a budget in $"),
        (["good.py", "--budget", "$5", "--price", "inf"], "--price must lie in [1e-06, 1e+06]"),
        (["good.py", "--name", 252 * "x"], "has 252 bytes, of which there may be 200"),
        (["good.py", "--name", 120 * "é"], "has 240 bytes, of which there may be 200"),
        (["good.py", "--address", "http://127.0.0.1:8265"], "'adiw-tune submit' hands a search"),
        (["good.py", "--tracking-uri", "sqlite:///:memory:"], "an SQLite address needs a file"),
        (["good.py", "--seed", "-1"], "seed must be at least 0; got -1"),
        (["good.py", "--storage", "file"], "cannot write to storage 'file'"),
        (["good.py", "--storage", "/proc/here"], "cannot write to storage '/proc/here'"),
        (["good.py", "--tracking-uri", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer"),
        (["good.py", "--tracking-uri", "./mlruns"], "no longer writes to plain directories"),
        (["good.py", "--tracking-uri", "sqlite:////none/mlflow.db"], "/none is not a directory"),
        (["good.py", "--tracking-uri", "sqlite:///file"], "file is not a usable SQLite database"),
        (["good.py", "--address", "127.0.0.1:9"], "no Ray cluster at '127.0.0.1:9'"),
        (["good.py", "--address", "here"], "no Ray cluster at 'here'"),
        (["good.py", "--address", "a..b:1"], "no Ray cluster at 'a..b:1'"),
        (["good.py", "--address", "ray://h:1"], "no Ray cluster at 'ray://h:1'"),
        (["good.py", "--checkpoints", "/proc/x"], "cannot write checkpoints to '/proc/x'"),
        (["good.py", "--checkpoints", "file"], "cannot write checkpoints to '"),
    ],
)
def test_a_search_that_cannot_start(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    arguments = ["search", "--name", "s", *options]
    assert told in refusal(arguments, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["none.py"], "no space file 'none.py'"),
        (["good.py", "--trials", "0"], "--trials must be at least 1; got 0"),
        (["good.py", "--concurrency", "0"], "--concurrency must be at least 1; got 0"),
        (["good.py", "--seeds", "1"], "--seeds must be 0 or at least 3"),
        (["good.py", "--cross-fit", "1"], "--cross-fit must be at least 2; got 1"),
    ],
)
def test_a_plan_of_what_could_not_start(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    assert told in refusal(["plan", *options], monkeypatch, capsys)


@pytest.mark.parametrize("uri", ["http://me:s3cret@127.0.0.1:9", "postgresql://me:s3cret@db/x"])
def test_a_password_in_the_tracking_uri_is_refused_and_not_repeated(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], uri: str
) -> None:
    arguments = ["search", "good.py", "--name", "s", "--tracking-uri", uri]
    line = refusal(arguments, monkeypatch, capsys)
    assert "MLFLOW_TRACKING_PASSWORD" in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--task", "mnist"], "unknown task 'mnist'"),
        (["--shift", "symmetric"], "symmetric"),
        (["--shift", "symmetric:1"], "1"),
        (["--shift", "pair:x"], "x"),
        (["--shift", "pair:0.3+turn:2"], "unknown shift 'turn:2'"),
        (["--shift", "pair:0.3+class-prior:0"], "class-prior ratio must be at least 1; got 0"),
        (["--shift", "pair:0.3+"], "unknown shift ''"),
        (["--shift", "group-prior:inf"], "shift group-prior needs rows in groups"),
        (["--network", "vgg"], "task 'digits' has no network 'vgg': choose one of small-cnn"),
        (["--precision", "float16"], "unknown precision 'float16': choose one of float32, bfloat"),
        (["--method", "kmm"], "unknown method 'kmm'"),
        (["--method", "diw-published", "--divergence", "kl"], "use divergence mmd"),
        (["--divergence", "auto", "--method", "erm"], "for method adiw, giw or random: not erm"),
        (["--divergence", "kl", "--method", "erm"], "method erm minimises no divergence: leave"),
        (["--divergence", "mmd", "--method", "l2rw"], "method l2rw minimises no divergence"),
        (["--divergence", "auto", "--bandwidth", "1"], "each divergence's own bandwidth"),
        (["--divergence", "file.py"], "no divergence file 'file.py'"),
        (["--divergence", "good.py"], "divergence file 'good.py' sets no DIVERGENCE"),
        (["--task", "file.py"], "no task file 'file.py'"),
        (["--divergence", "js"], "unknown divergence 'js'"),
        (["--steps", "0"], "0"),
        (["--step-size", "2"], "2"),
        (["--bandwidth", "0"], "0"),
        (["--ridge", "0.1"], "ridge is for method diw: leave it out for adiw"),
        (["--warm-start", "hot"], "unknown warm_start 'hot'"),
        (["--decay", "1.5"], "decay must lie in (0, 1); got 1.5"),
        (["--policy", "knee"], "--policy is for the pick of a search: name the search by --from"),
        (["--storage", "x"], "--storage is for the pick of a search: name the search by --from"),
        (["--threads", "0"], "--threads must be at least 1; got 0"),
        (["--threads", "999999999999"], "--threads must be at most "),
        (["--cap", "0.5"], "0.5"),
        (["--slack", "1"], "1"),
        (["--epochs", "0"], "epochs must be at least 1; got 0"),
        (["--reference-size", "5000"], "reference_size 5000"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--output", "no/where/net.pt"], "cannot write --output 'no/where/net.pt': No such file"),
        (["--output", "data"], "--output 'data' is a directory"),
        (["--output", "/proc/net.pt"], "cannot write --output '/proc/net.pt'"),
        (["--seed", "9" * 20], "seed must be at most"),
        (["--divergence", "broken.py"], "'broken.py': gradient must have shape [20]; it has []"),
        (["--task", "fashion-mnist", "--data-dir", "data"], "ubyte.gz' is damaged"),
        (["--task", "fashion-mnist", "--data-dir", "none"], "--data-dir 'none' is no directory"),
        (["--from", "s"], "no search 's' in 'adiw-searches': none is recorded there"),
    ],
)
def test_a_training_that_cannot_start(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    assert told in refusal(["train", *options], monkeypatch, capsys)


@pytest.mark.parametrize("command", ["front", "best", "resume", "ui", "finalize"])
def test_a_search_that_there_is_not(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert "no search 'other' in" in refusal([command, "other"], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("cheapest", "unknown policy 'cheapest'"),
        ("best-under=x", "policy 'best-under' needs a number"),
        ("best-under=0.0001", "no finished trial trains in 0.0001 s of work: the fastest takes"),
        ("fastest-within=2", "fastest-within takes an accuracy in [0, 1]; got 2"),
    ],
)
@pytest.mark.parametrize("command", [["best", "s"], ["train", "--from", "s"]])
def test_a_policy_that_picks_nothing(
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    policy: str,
    told: str,
) -> None:
    monkeypatch.chdir(finished.folder)
    assert told in refusal([*command, "--policy", policy], monkeypatch, capsys)


def test_in_a_process_of_its_own_too_it_is_one_line(here: Path) -> None:
    ran = adiw_tune(here, "search", "none.py", "--name", "s")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == ("error: no space file 'none.py': give a Python file with space(trial)\n")


def test_help_names_no_option_that_its_command_lacks() -> None:
    for name, command in command_line().commands.items():
        own = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for one in command.params:
            named = re.findall(r"--[a-z][a-z-]*", getattr(one, "help", None) or "")
            assert set(named) <= own, f"{name} {one.name}"
