"""Records that are damaged: each command says so in one line that names the file, and no more."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.finalize import Reading, finalize

from .conftest import Finished
from .helpers import called, of_kind, read_events

COMMANDS = [
    ("front", "s"),
    ("front", "s", "--format", "json"),
    ("best", "s"),
    ("finalize", "s"),
    ("rerun", "s", "0"),
    ("replay", "s", "--seeds", "1"),
    ("resume", "s"),
    ("extend", "s", "--trials", "0"),
    ("scale", "--dial", "steps", "--from", "s", "--trial", "99"),
    ("ui", "s", "--port", "99999", "--no-browser"),
]
READS_NO_EVENT = ("extend", "ui")


@pytest.fixture(scope="module")
def whole(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished search with a store of its own, to be copied again."""
    folder = tmp_path_factory.mktemp("whole") / "whole"
    shutil.copytree(finished.folder, folder)
    return folder


@pytest.fixture
def folder(finished: Finished, whole: Path, tmp_path: Path) -> Path:
    """One to be damaged."""
    shutil.copytree(whole, tmp_path / "copy")
    settings = tmp_path / "copy" / "adiw-searches" / "s" / "search.json"
    text = settings.read_text().replace(str(finished.folder), str(tmp_path / "copy"))
    settings.write_text(text)
    return tmp_path / "copy"


def record_of(folder: Path) -> SearchRecord:
    return SearchRecord.open(folder / "adiw-searches", "s")


def as_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "file").touch()


def all_strings(path: Path) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({name: str(value) for name, value in values.items()}))


def with_accuracy_5(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    of_kind(lines, "epoch")[0]["accuracy"] = 5
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


NO_JSON = "'{}' is damaged: invalid JSON"


@pytest.mark.parametrize(
    ("file", "damage", "told"),
    [
        ("search.json", as_directory, "cannot read '{}': it is no regular file"),
        ("search.json", lambda path: path.write_text(""), NO_JSON),
        ("search.json", lambda path: path.write_bytes(b"\0" * 99), NO_JSON),
        ("search.json", lambda path: path.write_text("[" * 100_000), NO_JSON),
        ("search.json", lambda path: path.write_text("[]"), "'{}' is damaged: input should be"),
        ("search.json", all_strings, "'{}' is damaged: trials '5': input should be a valid"),
        ("events.jsonl", as_directory, "cannot read '{}': it is no regular file"),
        ("events.jsonl", with_accuracy_5, "'{}' is damaged: the line that ends at byte "),
    ],
)
def test_every_command_names_the_file_in_one_line(
    folder: Path, file: str, damage: Callable[[Path], None], told: str
) -> None:
    path = folder / "adiw-searches" / "s" / file
    damage(path)
    before = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for command in COMMANDS:
        if file == "events.jsonl" and command[0] in READS_NO_EVENT:
            continue
        ran = called(folder, *command)
        (line,) = ran.stderr.splitlines()
        assert (ran.returncode, ran.stdout) == (2, ""), command
        assert told.format(path) in line, command
    after = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    after.pop(folder / "adiw-searches" / "s" / "running.lock", None)
    assert after.items() <= before.items(), "nothing is written"


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [remove, half, as_directory])
@pytest.mark.parametrize("file", ["events.jsonl", "decision.json", "running.lock", "sent.json"])
def test_no_other_damage_ends_in_a_traceback(
    folder: Path, file: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / "adiw-searches" / "s" / file)
    for command in COMMANDS:
        if command[0] == "resume" and file in ("decision.json", "events.jsonl"):
            continue  # it may go on, by Ray
        ran = called(folder, *command)
        assert ran.returncode in (0, 2), command
        told = [line for line in ran.stderr.splitlines() if not line.startswith("sending the last")]
        assert ran.returncode == 0 or len(told) == 1, command


def test_a_test_split_that_is_being_read_is_not_read(folder: Path) -> None:
    with record_of(folder).claimed():
        ran = called(folder, "finalize", "s")
    assert ran.returncode == 2
    told = "error: search 's' is running already, or its test split is being read\n"
    assert ran.stderr == told
    assert of_kind(read_events(folder), "test_read") == []


def test_two_that_read_it_at_the_same_moment_read_it_once(folder: Path) -> None:
    together, readings, refused = Barrier(2), list[Reading](), list[str]()

    def read() -> None:
        record = record_of(folder)
        together.wait()
        try:
            readings.append(finalize(record, False, None, refused.append, refused.append))
        except UserError as error:
            refused.append(str(error))

    threads = [Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(of_kind(read_events(folder), "test_read")) == len(readings) == 1
    (told,) = refused
    assert "test split is being read" in told or "was read on" in told


@pytest.mark.parametrize("raised", [KeyboardInterrupt, UserError("metric() fails")], ids=str)
def test_finalize_that_fails_early_records_no_reading(
    folder: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    def ended(*given: object) -> None:
        raise raised

    told: list[str] = []
    monkeypatch.setattr("adiw_tune.search.finalize.interval_over_rows", ended)
    with pytest.raises((KeyboardInterrupt, UserError)):
        finalize(record_of(folder), False, None, told.append, told.append)
    assert of_kind(read_events(folder), "test_read") == []
    monkeypatch.undo()
    reading = finalize(record_of(folder), False, None, told.append, told.append)
    assert (reading.reading, told) == (1, [])


def test_it_is_not_read_where_mlflow_could_not_be_told(folder: Path) -> None:
    (folder / "mlflow.db").write_text("no database")
    ran = called(folder, "finalize", "s")
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "is not a usable SQLite database" in line
    assert of_kind(read_events(folder), "test_read") == []


@pytest.mark.parametrize("table", ["metrics", "alembic_version"])
@pytest.mark.parametrize(
    "command",
    [
        ("finalize", "s"),
        ("resume", "s"),
        ("extend", "s", "--trials", "1"),
        ("search", "space.py", "--name", "new", "--trials", "1", "--tracking-uri", "sqlite:///{}"),
    ],
)
def test_nothing_is_read_or_begun_where_mlflow_lacks_a_table(
    folder: Path, table: str, command: tuple[str, ...]
) -> None:
    path, search = folder / "mlflow.db", folder / "adiw-searches"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"DROP TABLE {table}")
    if command[0] == "resume":
        (search / "s" / "decision.json").unlink()
    names = sorted(search.rglob("*"))
    damaged, events = path.read_bytes(), (search / "s" / "events.jsonl").read_bytes()
    ran = called(folder, *(word.format(path) for word in command))
    assert ran.returncode == 2
    (line,) = (one for one in ran.stderr.splitlines() if not one.startswith("warning: "))
    assert f"{path} lacks '{table}' of MLflow's tables: " in line
    assert (search / "s" / "events.jsonl").read_bytes() == events
    assert path.read_bytes() == damaged
    assert {file.name for file in set(search.rglob("*")) - set(names)} <= {"running.lock"}


def test_a_winner_that_is_damaged_is_trained_again_to_the_same_accuracy(folder: Path) -> None:
    kept = json.loads(called(folder, "finalize", "s", "--format", "json").stdout)
    checkpoints = list((folder / "adiw-searches" / "s" / "ray").rglob("run.pt"))
    assert checkpoints
    for file in checkpoints:
        file.write_bytes(file.read_bytes()[:1000])
    ran = called(folder, "finalize", "s", "--again", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    trained = json.loads(ran.stdout)
    assert trained["value"] == kept["value"]
    assert ran.stderr.splitlines()
    for line in ran.stderr.splitlines():
        assert line.startswith("warning: checkpoint '")
        assert line.endswith("; adiw-tune train --from s trains its network again")


def test_extend_with_a_space_that_fails_leaves_the_search_as_it_was(folder: Path) -> None:
    search = folder / "adiw-searches" / "s"
    (search / "space.py").write_text("def space(trial):\n    raise ValueError\n")
    before = {path: path.read_bytes() for path in search.rglob("*") if path.is_file()}
    ran = called(folder, "extend", "s", "--trials", "1")
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1)
    assert "space() in '" in ran.stderr
    after = {path: path.read_bytes() for path in search.rglob("*") if path.is_file()}
    assert after == before
