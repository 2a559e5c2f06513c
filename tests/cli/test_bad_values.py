"""Each option x each kind of badness: refused in a line with exit code 2, or it has a meaning."""

from __future__ import annotations

import fcntl
import gzip
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from adiw_tune.record.record import SearchRecord
from tests.search.made_up import Story, settings

from .bad_values import ANOTHER_BASE, BASES, DEAD, ESCAPES, LONG, Base, Parameter, parameters
from .helpers import called

ALL = [*parameters()]
ENVIRONMENT = (
    "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE",
)  # fmt: skip

# What seems bad and has a meaning, which is documented: (command, parameter) -> values.
THERE = {ESCAPES, LONG, "file/x", "/dev/full"}  # paths, known on the cluster alone
MEANT = {
    ("doctor", "checkpoints"): {ESCAPES},  # a directory may be called so
    ("doctor", "storage"): {ESCAPES},
    ("doctor", "exclude"): {ESCAPES, LONG},  # no file is called so, and none is left out
    ("finalize", "output"): {ESCAPES},  # a file may be called so
    ("plan", "seed"): {"0"},
    ("plan", "seeds"): {"0"},  # no finale over seeds
    ("replay", "seeds"): {"2"},  # orders of the trials
    ("rows", "output"): {ESCAPES},
    ("scale", "seeds"): {"2"},
    ("search", "checkpoints"): {ESCAPES},
    ("search", "gpus_per_trial"): {"0"},  # on the CPU
    ("search", "seed"): {"0"},
    ("search", "seeds"): {"0"},
    ("search", "storage"): {ESCAPES},
    ("submit", "checkpoints"): {"/dev/full", "github://x"},  # as THERE
    ("submit", "data_dir"): {*THERE, "file"},
    ("submit", "exclude"): {ESCAPES, LONG},
    ("submit", "gpus_per_trial"): {"0"},
    ("submit", "pip"): {ESCAPES, LONG},  # pip knows, there
    ("submit", "seed"): {"0"},
    ("submit", "seeds"): {"0"},
    ("submit", "storage"): {"/dev/full"},
    ("train", "decay"): {"1e-320"},  # in (0, 1): as good as off
    ("train", "label_smoothing"): {"0", "1e-320"},
    ("train", "lr_warmup_epochs"): {"0"},
    ("train", "momentum"): {"0"},
    ("train", "output"): {ESCAPES},
    ("train", "reference_weight"): {"0", "1e-320"},  # off, and as good as off
    ("train", "rows"): {ESCAPES},
    ("train", "seed"): {"0"},
    ("train", "slack"): {"0", "1e-320"},  # in [0, 1): as good as 0
    ("train", "warmup_epochs"): {"0"},
    ("train", "weight_decay"): {"0", "1e-320"},
    ("ui", "port"): {"0"},  # a free one
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a space, two records, data that is damaged, and a file in the way."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "good.py").write_text(
        "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"
    )
    (folder / "damaged.py").write_text(
        "def space(trial):\n    return {'task': 'fashion-mnist', 'epochs': 2}\n"
    )
    (folder / "file").write_text("in the way")
    (folder / "data").mkdir()
    images = folder / "data" / "train-images-idx3-ubyte.gz"
    images.write_bytes(gzip.compress(b"\0\0\x08")[:-4])
    storage = folder / "adiw-searches"
    made = settings(name="over", tracking_uri=f"http://{DEAD}", folder=folder)
    over = SearchRecord.create(storage, made, folder / "good.py")
    story = Story(over.folder)
    for number in range(4):
        story.trial(number, accuracy=0.8 + number / 100)
    story.trial(4, "pruned", epochs=1)
    over.log.append("test_read", trial="t3", metrics={"accuracy": 0.8}, rows=397, again=False)
    over.finish({})
    made = settings(name="running", tracking_uri=f"sqlite:///{folder}/mlflow.db")
    running = SearchRecord.create(storage, made, folder / "good.py")
    with (running.folder / "running.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@pytest.fixture(autouse=True)
def environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADIW_DATA_DIR", str(place / "data"))


def files_in(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def words_of(command: str, given: dict[str, str]) -> list[str]:
    """A command line: options, then arguments."""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in (p for p in ALL if p.command == command and p.name in given):
        value = given[parameter.name]
        if parameter.option is None:
            arguments.append(value)
        elif parameter.switch:
            options.append(f"{parameter.option}={value}")
        else:
            options += [parameter.option, value]
    return [command, *options, "--", *arguments]


def run(place: Path, command: str, given: dict[str, str]) -> CompletedProcess[str]:
    return called(place, *words_of(command, given))


def of_doctor(ran: CompletedProcess[str]) -> list[str]:
    """The problems that it tells, all at once and on standard output."""
    return [line for line in ran.stdout.splitlines() if line.startswith("problem")]


def fault(ran: CompletedProcess[str]) -> str | None:
    """What is wrong with a refusal; None: nothing."""
    lines = ran.stderr.splitlines() or of_doctor(ran)
    if ran.returncode != 2:
        return f"exit code {ran.returncode}: {ran.stderr[-300:]}{ran.stdout[-300:]}"
    if not 1 <= len(lines) <= 3:
        return f"{len(lines)} lines: {lines}"
    if "Traceback" in ran.stderr or (not ran.stderr.isprintable() and "\x1b" in ran.stderr):
        return f"unfit for a terminal: {ran.stderr[-300:]!r}"
    return None


def accepted(ran: CompletedProcess[str], base: Base) -> bool:
    """Whether it came to what the base is refused for, or to its end."""
    if problems := of_doctor(ran):
        return len(problems) == 1 and base.last in problems[0]
    return base.last in ran.stderr if base.last else ran.returncode == 0


@pytest.mark.parametrize("command", BASES)
def test_the_bases_are_right_but_for_one_thing(place: Path, command: str) -> None:
    base = BASES[command]
    ran = run(place, command, base.given)
    assert accepted(ran, base), ran.stderr
    assert (fault(ran) is None) == bool(base.last)


@pytest.mark.parametrize("parameter", ALL, ids=lambda p: f"{p.command}-{p.name}")
def test_a_bad_value_is_refused_in_a_line_or_means_something(
    place: Path, parameter: Parameter
) -> None:
    command, name = parameter.command, parameter.name
    before, faults, meant = files_in(place), {}, set()
    base = ANOTHER_BASE.get((command, name), BASES[command])
    for value in parameter.bad:
        try:
            ran = run(place, command, base.given | {name: value})
        except BaseException as error:
            faults[value] = f"{type(error).__name__}: {error}"
            continue
        if accepted(ran, base):
            meant.add(value)
        elif wrong := fault(ran):
            faults[value] = wrong
    assert not faults, faults
    assert meant == MEANT.get((command, name), set())
    assert files_in(place) == before


def test_there_are_hundreds_of_them() -> None:
    assert sum(len(parameter.bad) for parameter in ALL) >= 400
    assert {parameter.command for parameter in ALL} == set(BASES)


@pytest.mark.parametrize(
    ("variable", "value", "command", "given", "told"),
    [
        ("RAY_ADDRESS", "http://[::1", "status", {"address": ""}, "no address of a job server"),
        ("RAY_ADDRESS", "127.0.0.1:²", "stop", {"address": ""}, "no Ray cluster at '127.0.0.1:²'"),
        ("RAY_API_SERVER_ADDRESS", "s3://[bad", "logs", {"address": ""}, "no address of a job"),
        ("RAY_ADDRESS", "here", "search", {}, "no Ray cluster at 'here' of $RAY_ADDRESS"),
        ("RAY_ADDRESS", "ray://h:1", "search", {}, "no Ray cluster at 'ray://h:1' of $RAY_ADDRESS"),
        ("RAY_ADDRESS", DEAD, "search", {}, f"no Ray cluster at '{DEAD}'"),
        ("RAY_ADDRESS", "h:99999", "doctor", {"address": "auto"}, "problem  address"),
        ("MLFLOW_TRACKING_URI", "http://[::1", "search", {"address": ""}, "is no address"),
        ("MLFLOW_TRACKING_URI", "sqlite://", "search", {"address": ""}, "needs a file"),
        ("MLFLOW_TRACKING_URI", "http://u:s3cret@h", "doctor", {}, "MLFLOW_TRACKING_PASSWORD"),
        ("MLFLOW_TRACKING_URI", "file:/x", "doctor", {}, "no longer writes to plain directories"),
        ("ADIW_DATA_DIR", "gone", "train", {}, "$ADIW_DATA_DIR is 'gone', which is no directory"),
        ("ADIW_DATA_DIR", LONG, "plan", {}, "which is no directory: correct or unset it"),
        ("ADIW_DATA_DIR", "file", "check-task", {"file": "image-folder"}, "which is no directory"),
    ],
)
def test_a_bad_variable_of_the_environment_is_named(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    command: str,
    given: dict[str, str],
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    searched = {"storage": "new", "address": "auto"} if command == "search" else {}
    all_given = {**BASES[command].given, **searched, **given}
    ran = run(place, command, {name: word for name, word in all_given.items() if word})
    assert told in ran.stderr + ran.stdout
    assert fault(ran) is None
    assert not (place / "new").exists()


def test_what_means_nothing_is_no_less_wrong_for_a_search_that_goes_on(place: Path) -> None:
    begun = ("search", "good.py", "--name", "running", "--or-resume")
    assert "is running already" in called(place, *begun).stderr
    ran = called(place, *begun, "--trials", "0")
    assert ran.stderr == "error: --trials must be at least 1; got 0\n"
