"""What a search came to is told whatever MLflow does, and sent when it answers."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from rich.console import Console

from adiw_tune.errors import SearchInterrupted, UnsentError, UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.ending import is_sent, tell_reading
from adiw_tune.search.preflight import check_record
from adiw_tune.search.request import SearchRequest, checked_settings
from adiw_tune.search.run import _tell
from tests.cli.helpers import called
from tests.search.made_up import Story, settings
from tests.tracking.test_deleted import do_as_told

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported


def searched(folder: Path, **changes: Any) -> SearchRecord:
    """A record whose trials have ended, and of which MLflow knows nothing yet."""
    (folder / "space.py").write_text(
        "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"
    )
    kept = settings(tracking_uri=f"sqlite:///{folder}/mlflow.db", folder=folder, seeds=0, **changes)
    record = SearchRecord.create(folder / "adiw-searches", kept, folder / "space.py")
    story = Story(record.folder)
    for number, accuracy in enumerate((0.8, 0.9)):
        story.trial(number, accuracy=accuracy)
    return record


def in_mlflow(folder: Path) -> Any:
    """The search's run."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("adiw-tune")
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'parent'")
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def delete_all(folder: Path) -> bool:
    """As one deletes the experiment while a search runs."""
    run = in_mlflow(folder)
    MlflowClient(f"sqlite:///{folder}/mlflow.db").delete_experiment(run.info.experiment_id)
    return True


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a search that came to its end though MLflow refused it, and what was told."""
    folder = tmp_path_factory.mktemp("searched")
    record = searched(folder)
    with pytest.raises(UnsentError) as caught:
        _tell(record, Console(quiet=True), lambda: delete_all(folder))
    return folder, str(caught.value)


@pytest.fixture(scope="module")
def folder(refused: tuple[Path, str]) -> Path:
    """The same, once MLflow has all of it."""
    folder, told = refused
    record = SearchRecord.open(folder / "adiw-searches", "s")
    assert record.finished
    assert not is_sent(record)
    assert "experiment 'adiw-tune' is deleted in MLflow" in told
    assert told.endswith(record.resume_command())

    still = called(folder, "resume", "s")
    assert still.returncode == 3
    assert "front of 's'" in still.stdout
    assert "accuracy 0.9" in still.stdout
    assert still.stderr.count("\n") == 1
    do_as_told(told.partition("), which is kept")[0])

    sent = called(folder, "resume", "s")
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout == still.stdout
    assert in_mlflow(folder).info.status == "FINISHED"
    before = files(folder)
    assert called(folder, "resume", "s").returncode == 0
    assert files(folder) == before  # nothing was left to be sent
    return folder


def test_the_answer_is_told_though_mlflow_refuses_it_and_the_rest_is_sent_later(
    folder: Path,
) -> None:
    assert in_mlflow(folder).data.metrics["picked_accuracy"] == 0.9


def test_a_search_that_is_stopped_says_so_whatever_mlflow_does(tmp_path: Path) -> None:
    record, said = searched(tmp_path), io.StringIO()
    with pytest.raises(SearchInterrupted):
        _tell(record, Console(file=said, width=1000), lambda: not delete_all(tmp_path))
    assert "warning: MLflow lacks the end of the search" in said.getvalue()
    assert not record.finished
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ran = called(tmp_path, "search", "space.py", "--name", "another", "--tracking-uri", uri)
    assert ran.returncode == 2
    assert "experiment 'adiw-tune' is deleted in MLflow: restore it by: " in ran.stderr
    assert not (tmp_path / "adiw-searches" / "another").exists()


def copied(folder: Path, to: Path, *names: str) -> SearchRecord:
    """The record in a copy of some of what lies in a folder, or of all."""
    for name in names or os.listdir(folder):
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copy
        to.mkdir(exist_ok=True)
        copy(folder / name, to / name)
    return SearchRecord.open(to / "adiw-searches", "s")


def test_a_copy_works_on_its_own_database_and_artifacts(folder: Path, tmp_path: Path) -> None:
    original = files(folder)
    there = tmp_path / "there"
    record = copied(folder, there)
    as_copied = files(there)
    for command in ("front", "best"):
        assert called(there, command, "s").returncode == 0
    assert files(there) == as_copied  # to read is not to write

    check_record(record)
    record.log.append("test_read", trial="t1", metrics={"accuracy": 0.5}, rows=10, again=False)
    tell_reading(record)
    run = in_mlflow(there)
    _artifact_repos_cache.clear()  # which MLflow keeps in a process for each run's id
    client = MlflowClient(f"sqlite:///{there}/mlflow.db")
    client.log_text(run.info.run_id, "", "new.txt")
    assert run.data.metrics["test_accuracy"] == 0.5
    assert run.info.artifact_uri.startswith(there.as_uri())
    kept = {Path(path).name for path in files(there / "mlartifacts")}
    assert {"report.html", "new.txt"} <= kept
    assert files(folder) == original

    again = SearchRecord.open(there / "adiw-searches", "s").settings
    assert (again.place, again.folder) == (record.folder, there)
    assert again.tracking_uri == f"sqlite:///{there}/mlflow.db"


def test_a_copy_that_would_write_to_the_originals_database_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    original = files(folder)
    there = tmp_path / "there"
    record = copied(folder, there, "adiw-searches", "space.py")
    for command in (("finalize", "s"), ("extend", "s", "--trials", "1"), ("ui", "s")):
        ran = called(there, *command)
        assert ran.returncode == 2
        assert "is a copy of " in ran.stderr
        assert f"copy '{folder}/mlflow.db' and the folder mlartifacts" in ran.stderr
        assert ran.stderr.count("\n") == 1
    (there / "mlflow.db").symlink_to(folder / "mlflow.db")
    assert "is a copy of " in called(there, "finalize", "s").stderr
    (there / "mlflow.db").unlink()
    record = copied(folder, there, "mlflow.db")
    with pytest.raises(UserError, match=f"bring '{folder}/mlartifacts' to '{there}' as well"):
        check_record(record)
    check_record(copied(folder, there, "mlartifacts"))
    assert files(folder) == original


def test_a_folder_that_was_moved_goes_on_where_it_is(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        check_record(copied(folder, tmp_path / name))
    before = in_mlflow(tmp_path / "one").info.run_id
    for name, to in (("one", "at last"), ("at last", "really")):  # the second without a look
        (tmp_path / name).rename(tmp_path / to)
    record = SearchRecord.open(tmp_path / "really" / "adiw-searches", "s")
    check_record(record)
    found = in_mlflow(tmp_path / "really").info
    assert found.run_id == before
    assert found.artifact_uri.startswith((tmp_path / "really").as_uri())

    (tmp_path / "two").joinpath("adiw-searches").rename(tmp_path / "adiw-searches")
    moved = SearchRecord.open(tmp_path / "adiw-searches", "s")
    check_record(moved)  # alone: its database stays
    assert moved.settings.tracking_uri == f"sqlite:///{tmp_path}/two/mlflow.db"


def test_a_record_that_came_without_its_database_has_a_new_one(
    folder: Path, tmp_path: Path
) -> None:
    record = copied(folder, tmp_path / "one")
    check_record(record)
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "adiw-searches").rename(tmp_path / "two" / "adiw-searches")
    shutil.rmtree(tmp_path / "one")
    moved = SearchRecord.open(tmp_path / "two" / "adiw-searches", "s")
    check_record(moved)
    assert moved.settings.tracking_uri == f"sqlite:///{tmp_path}/two/mlflow.db"
    assert not is_sent(moved)  # so that resume sends all of it


def test_what_is_recorded_of_paths_does_not_depend_on_where_commands_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.py").write_text(
        "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"
    )
    asked = SearchRequest(
        space=Path("space.py"), name="s", trials=1, seed=0, metric=None, policy="knee", seeds=0,
        baselines=False, early_stopping=True, patience=None, budget=None, price=None,
        cross_fit=None, concurrency=1,
        cpus_per_trial=1, gpus_per_trial=None, workers_per_trial=1, storage=Path("searches"),
        tracking_uri="sqlite:///rel.db", data_dir=Path("data"), checkpoints="kept", address=None,
    )  # fmt: skip
    (tmp_path / "data").mkdir()
    kept = checked_settings(asked, warn=pytest.fail)
    assert kept.tracking_uri == f"sqlite:///{tmp_path}/rel.db"
    assert (kept.folder, kept.data_dir) == (tmp_path, tmp_path / "data")
    assert kept.checkpoints == str(tmp_path / "kept")
    assert SearchRecord.create(Path("searches"), kept, Path("space.py")).folder.is_absolute()
