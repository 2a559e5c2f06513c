"""``adiw-tune scale``: a trial of a finished search along a dial, for real."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from adiw_tune.cli import main
from adiw_tune.cli.console import err

from .conftest import Finished
from .helpers import Running, called, of_kind

MMD, ERM, FAILED = "0", "3", "2"  # of the space in conftest.py


@pytest.fixture(scope="module")
def folder(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished search with a store of its own, so that no other test sees a scale.

    Its trials have no warm-up there, which is all that some of them have.
    """
    copy = tmp_path_factory.mktemp("scaled") / "finished"
    shutil.copytree(finished.folder, copy)
    settings = copy / "adiw-searches" / "s" / "search.json"
    settings.write_text(settings.read_text().replace(str(finished.folder), str(copy)))
    events = settings.with_name("events.jsonl")
    events.write_text(events.read_text().replace('"warmup_epochs": 1', '"warmup_epochs": 0'))
    return copy


def scales(folder: Path) -> list[Any]:
    """The runs of kind scale, the last begun first."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments, "tags.kind = 'scale'"))


def accuracy(finished: Finished, trial: str) -> float:
    """The trial's, as the search recorded it."""
    (end,) = [end for end in of_kind(finished.events, "end") if end["trial"] == f"t{trial}"]
    return float(end["metrics"]["accuracy"])


def test_more_steps_make_more_work(folder: Path) -> None:
    options = ("--from", "s", "--trial", MMD, "--values", "100,5")
    ran = called(folder, "scale", "--dial", "steps", *options, "--format", "csv")
    assert ran.returncode == 0, ran.stderr
    few, many = csv.DictReader(io.StringIO(ran.stdout))
    assert (few["value"], many["value"]) == ("5", "100")
    assert few["plain_s"] == many["plain_s"]  # both count in one unit
    assert float(few["work_s"]) < float(many["work_s"])
    assert float(few["efficiency"]) == 1 > float(many["efficiency"])
    assert "steps 5, seed 7: epoch 1/1, select accuracy 0." in ran.stderr
    (run,) = scales(folder)
    assert run.info.status == "FINISHED"
    assert run.data.tags["of"] == f"t{MMD}"
    assert run.data.params["divergence"] == "mmd"
    assert "steps" not in run.data.params
    assert run.data.metrics["work_s"] == float(many["work_s"])


def test_all_training_rows_make_the_accuracy_of_the_trial(finished: Finished, folder: Path) -> None:
    before = len(scales(folder))
    options = ("--from", "s", "--trial", ERM, "--values", "1/8,1")
    ran = called(folder, "scale", "--dial", "n-train", *options, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    few, all_rows = json.loads(ran.stdout)
    assert (few["value"], all_rows["value"]) == (137, 1100)
    assert all_rows["accuracy"] == accuracy(finished, ERM) > few["accuracy"]
    assert len(scales(folder)) == before + 1  # nothing is put to a curve of before


def test_two_workers_come_to_the_accuracy_of_the_trial(finished: Finished, folder: Path) -> None:
    options = ("--from", "s", "--trial", ERM, "--values", "2")
    ran = called(folder, "scale", "--dial", "workers", *options, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    (together,) = json.loads(ran.stdout)
    assert together["accuracy"] == pytest.approx(accuracy(finished, ERM), abs=0.01)
    assert together["efficiency"] == 1  # of the first point, which it is


class _CtrlC(io.StringIO):
    """A terminal whose user presses Ctrl-C at a line that begins with ``text``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def write(self, line: str) -> int:
        if line.startswith(self._text):
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(line)


def test_ctrl_c_keeps_the_points_that_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["--dial", "steps", "--from", "s", "--trial", MMD, "--values", "1,2"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["adiw-tune", "scale", *arguments])
    monkeypatch.setattr("sys.stderr", _CtrlC("steps 2, "))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    with err.capture():  # empties the buffer of Rich, which the signal came before
        pass
    (run,) = [run for run in scales(folder) if run.info.status == "KILLED"]
    written = Path(run.info.artifact_uri.removeprefix("file://")) / "scale-steps.csv"
    (point,) = csv.DictReader(io.StringIO(written.read_text()))
    assert point["value"] == "1"
    assert run.data.metrics["accuracy"] == float(point["accuracy"])


def has_measured(folder: Path, values: str) -> bool:
    """Whether the dial at ``values`` keeps a point, which it would not measure again."""
    path = folder / "adiw-searches" / "s" / "scale-steps.json"
    kept = json.loads(path.read_text()) if path.exists() else {"outcomes": {}}
    return bool(kept["outcomes"]) and len(kept["asked"]["points"]) == len(values.split(","))


def test_killed_and_begun_again_it_goes_on(folder: Path) -> None:
    arguments = ("scale", "--dial", "steps", "--from", "s", "--trial", MMD, "--values")
    others = {run.info.run_id for run in scales(folder)}
    for values in ("1,2,3", "1,2"):
        with Running(folder, *arguments, values) as running:
            running.wait_until(partial(has_measured, folder, values))
            running.process.send_signal(signal.SIGSTOP)  # so that it does not end meanwhile
            busy = called(folder, *arguments, values)
            running.send(signal.SIGKILL)
        assert (busy.returncode, busy.stdout) == (2, "")
        assert busy.stderr == "error: dial steps is being turned already\n"
    # What was measured of other values is another curve's, which nobody went on with.
    new = [run for run in scales(folder) if run.info.run_id not in others]
    assert [run.info.status for run in new] == ["RUNNING", "KILLED"]

    ran = called(folder, *arguments, "1,2", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    assert "steps 1" not in ran.stderr
    assert "steps 2, seed 7: epoch 1/1" in ran.stderr
    one, two = json.loads(ran.stdout)
    (run, _) = [run for run in scales(folder) if run.info.run_id not in others]
    assert run.info.status == "FINISHED"
    store = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    points = store.get_metric_history(run.info.run_id, "wall_s")
    assert [point.step for point in points] == [1, 2]
    assert [point.value for point in points] == pytest.approx([one["wall_s"], two["wall_s"]])
    assert not (folder / "adiw-searches" / "s" / "scale-steps.json").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--dial", "seed"), "unknown dial 'seed': choose one of workers, batch, reference, steps"),
        (("--dial", "batch", "--values", "1,two"), "--values must be whole numbers above 0"),
        (("--dial", "n-train", "--values", "2"), "must be shares in (0, 1]"),
        (
            ("--dial", "reference", "--trial", MMD, "--values", "51"),
            "at most 50, the number of reference rows",
        ),
        (("--dial", "steps", "--trial", ERM), "dial steps turns nothing of method erm"),
        (("--dial", "steps", "--trial", "99"), "no trial '99' in this search"),
        (("--dial", "steps", "--trial", FAILED), "trial '2' ran no epoch"),
        (("--dial", "steps", "--trial", MMD, "--policy", "knee"), "give one of them"),
        (("--dial", "steps", "--policy", "cheapest"), "unknown policy 'cheapest'"),
        (("--dial", "steps", "--seeds", "0"), "--seeds must be at least 1; got 0"),
        (("--dial", "steps", "--from", "other"), "no search 'other' in 'adiw-searches'"),
    ],
)
def test_what_there_is_not_is_refused(folder: Path, options: tuple[str, ...], told: str) -> None:
    before = len(scales(folder))
    ran = called(folder, "scale", "--from", "s", *options)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert ran.stdout == ""
    assert len(scales(folder)) == before
