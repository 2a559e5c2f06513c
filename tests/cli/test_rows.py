"""``adiw-tune rows``: wrong labels are told first, in a table, as data, on a page and in MLflow."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from adiw_tune.record.record import SearchRecord
from adiw_tune.search.programme import Begin
from adiw_tune.search.suspects import suspects_at_end
from adiw_tune.tasks import find_task
from tests.search.made_up import Story, settings

from .conftest import Finished
from .helpers import adiw_tune, called, of_kind, read_events

SPACE = """
def space(trial):
    return {
        "shift": "symmetric:0.3",
        "divergence": "energy",
        "batch_size": 64,
        "learning_rate": 0.003,
        "epochs": 6,
        "step_size": trial.suggest_float("step_size", 0.5, 1.5),
    }
"""
COLUMNS = ["rank", "row", "label", "predicted", "confidence", "weight", "fit", "runs"]
QUICK = ("--epochs", "6", "--batch-size", "64", "--learning-rate", "0.003")
ROWS = 1100


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("rows")
    (folder / "space.py").write_text(SPACE)
    for name in ("notes.csv", "notes.html"):
        (folder / name).write_text("mine")
    options = ("--name", "s", "--trials", "2", "--seeds", "3", "--concurrency", "1")
    ran = adiw_tune(folder, "search", "space.py", *options, "--no-baselines")
    assert ran.returncode == 0, ran.stderr
    return Finished(folder, ran)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def wrong(rows: list[Any]) -> np.ndarray:
    """Whether the label differs from that of the task's data."""
    labels = find_task("digits").load(None).rows.labels.numpy()
    numbers = [int(row["row"]) for row in rows]
    return labels[numbers] != np.array([int(row["label"]) for row in rows])


def test_the_rows_whose_labels_are_wrong_come_first(searched: Finished) -> None:
    ran = called(searched.folder, "rows", "s", "--format", "csv")
    rows = read(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [int(row["rank"]) for row in rows] == [*range(1, ROWS + 1)]
    assert len({row["row"] for row in rows}) == ROWS
    ranks, weights = ([float(row[name]) for row in rows] for name in ("rank", "weight"))
    assert 200 < wrong(rows).sum() < 400
    assert roc_auc_score(wrong(rows), -np.array(ranks)) > 0.9
    assert roc_auc_score(wrong(rows), -np.array(weights)) > 0.8
    assert wrong(rows)[:20].all()


def test_what_the_network_says_of_them_is_right(searched: Finished) -> None:
    rows = read(called(searched.folder, "rows", "s", "--format", "csv", "--top", "50").stdout)
    labels = find_task("digits").load(None).rows.labels
    right = [int(row["predicted"]) == int(labels[int(row["row"])]) for row in rows]
    assert len(rows) == 50
    assert np.mean(right) > 0.9
    assert all(float(row["confidence"]) > 0.5 for row in rows)
    assert all(float(row["fit"]) < 0.3 for row in rows)


def test_json_has_the_same(searched: Finished) -> None:
    rows = json.loads(called(searched.folder, "rows", "s", "--format", "json").stdout)
    table = read(called(searched.folder, "rows", "s", "--format", "csv").stdout)
    assert list(rows[0]) == COLUMNS
    assert [{name: float(value) for name, value in row.items()} for row in table] == rows


def test_for_eyes_there_are_twenty(searched: Finished) -> None:
    first, count, blank, *lines = called(searched.folder, "rows", "s").stdout.splitlines()
    assert first.startswith("the 20 most suspicious of 1,100 training rows, by 4 runs of trial t")
    rows = read(called(searched.folder, "rows", "s", "--format", "csv").stdout)
    otherwise = sum(row["predicted"] != row["label"] for row in rows)
    assert count == f"for {otherwise} of 1,100 rows the predicted class is not the label"
    assert blank == ""
    assert lines[0].split() == COLUMNS
    assert [int(line.split()[0]) for line in lines[1:21]] == [*range(1, 21)]
    fits = [line.split()[6] for line in lines[1:21]]
    assert fits == [f"{float(row['fit']):.3g}" for row in rows[:20]]
    assert len(set(fits)) > 15  # two may have the same three digits
    assert lines[21] == "row: its number in the task's data, from 0"
    assert lines[23].endswith("of the epochs, 1 for a row that counts as any other")
    shorter = called(searched.folder, "rows", "s", "--top", "3").stdout.splitlines()
    assert shorter[0].startswith("the 3 most suspicious of 1,100 training rows")
    assert shorter[1:7] == [count, blank, *lines[:4]]
    assert shorter[7] == lines[21]


def test_a_page_shows_their_pictures(searched: Finished, tmp_path: Path) -> None:
    page = tmp_path / "rows.html"
    for top in ("5", "30"):  # the second replaces the first
        ran = called(
            searched.folder, "rows", "s", "--format", "html", "--output", str(page), "--top", top
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    text = page.read_text()
    assert text.count("<img alt='' src='data:image/png;base64,") == 30
    table = called(searched.folder, "rows", "s").stdout.splitlines()
    assert f". {table[1].capitalize()}.</p>" in text
    assert len(set(re.findall(r"<p>fit ([^<]+)</p>", text))) > 25
    assert [*tmp_path.iterdir()] == [page]


def test_mlflow_has_the_page_and_all_rows_and_links_them(searched: Finished) -> None:
    files = searched.tracked.artifacts()
    table = called(searched.folder, "rows", "s", "--format", "csv").stdout
    assert files["rows.csv"].read_text() == table
    page = files["rows.html"].read_text()
    assert page.count("<div class='card'>") == 200
    assert "adiw-tune rows s --format csv" in page
    assert "<a href='rows.html'>" in files["report.html"].read_text()
    note = searched.tracked.parent.data.tags["mlflow.note.content"]
    assert "Which rows look wrong: [rows.html](#/experiments/" in note
    assert "    adiw-tune rows s\n" in note


def test_the_search_says_how_to_see_them(searched: Finished) -> None:
    assert "which rows look wrong: adiw-tune rows s\n" in searched.ran.stdout


def test_a_search_without_baselines_says_what_it_did_not_test(
    searched: Finished, finished: Finished
) -> None:
    told = "\nwhether weighting helps was not tested: the search has no baselines\n"
    assert told in searched.ran.stdout
    assert told in called(searched.folder, "best", "s").stdout
    assert told not in finished.ran.stdout  # its space has erm


def test_a_run_from_the_pick_tells_of_its_rows_too(searched: Finished, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    for _ in range(2):  # the second replaces the first
        ran = called(searched.folder, "train", "--from", "s", "--rows", str(file))
        assert ran.returncode == 0, ran.stderr
    rows = read(file.read_text())
    assert list(rows[0]) == COLUMNS
    assert {row["runs"] for row in rows} == {"1"}
    assert roc_auc_score(wrong(rows), -np.arange(ROWS)) > 0.9
    winner = next(run for run in of_kind(searched.events, "trial") if run["kind"] == "winner")
    assert winner["config"]["seed"] == 0
    searched_rows = read(called(searched.folder, "rows", "s", "--format", "csv").stdout)
    assert {row["row"] for row in rows} == {row["row"] for row in searched_rows}


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("clean-only", "trains on the reference rows alone"),
        ("diw-published", "merges the reference rows with the training rows"),
    ],
)
def test_methods_that_train_on_other_rows_are_refused(
    tmp_path: Path, method: str, what: str
) -> None:
    ran = called(tmp_path, "train", "--method", method, "--rows", "rows.csv", *QUICK)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"error: --rows is not available for method {method}, which {what}: "
        "choose another --method\n"
    )
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rows", "s", "--format", "html"], "--format html needs --output FILE: name the page"),
        (["rows", "s", "--output", "x"], "--output is for --format csv, json or html: name one"),
        (["rows", "s", "--data-dir", "."], "--data-dir is for --format html, which alone reads"),
        (["rows", "s", "--top", "10001"], "--top must be at most 10000; got 10001"),
        (
            ["rows", "s", "--format", "html", "--output", "notes.html"],
            "--output 'notes.html' exists and does not hold a page: name another file",
        ),
        (
            ["rows", "s", "--format", "csv", "--output", "notes.csv"],
            "--output 'notes.csv' exists and does not hold a table of rows: name another file",
        ),
        (
            ["rows", "s", "--format", "csv", "--output", "r.html"],
            "--output 'r.html' would hold csv: give it the ending .csv",
        ),
        (
            ["rows", "s", "--format", "json", "--output", "r.csv"],
            "--output 'r.csv' would hold json: give it the ending .json",
        ),
        (
            ["rows", "s", "--format", "html", "--output", "r.json"],
            "--output 'r.json' would hold html: give it the ending .html",
        ),
        (["train", "--rows", "r.html"], "--rows 'r.html' would hold csv: give it the ending .csv"),
        (["train", "--rows", "x", "--output", "x"], "--rows and --output are both 'x': name two"),
        (
            ["train", "--rows", "notes.csv"],
            "--rows 'notes.csv' exists and does not hold a table of rows: name another file",
        ),
        (["train", "--rows", "no/x"], "cannot write --rows 'no/x': No such file or directory"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    searched: Finished, words: list[str], told: str
) -> None:
    before = {path.name for path in searched.folder.iterdir()}
    ran = called(searched.folder, *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"error: {told}")
    assert len(ran.stderr.splitlines()) == 1
    assert {path.name for path in searched.folder.iterdir()} == before


def test_a_search_without_whole_runs_of_a_weighted_trial_says_what_to_do(
    finished: Finished, tmp_path: Path
) -> None:
    """Here of an earlier version, which left no rows beside its checkpoints."""
    storage = tmp_path / "adiw-searches"
    shutil.copytree(finished.folder / "adiw-searches", storage)
    for file in storage.rglob("rows.pt"):
        file.unlink()
    ran = called(tmp_path, "rows", "s")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.endswith("; 'adiw-tune train --from s --rows FILE' ranks the rows\n")


def test_a_search_that_is_not_over_says_what_to_do(copied: SearchRecord) -> None:
    folder = copied.folder.parents[1]
    for file in (*copied.folder.rglob("rows.pt"), copied.folder / "decision.json"):
        file.unlink()
    stopped = called(folder, "rows", "s")
    assert (stopped.returncode, stopped.stdout) == (2, "")
    why = "rows are ranked by the runs of its finale"
    told = f"error: search 's' is not over: run 'adiw-tune resume s' first; {why}\n"
    assert stopped.stderr == told
    with copied.claimed():
        running = called(folder, "rows", "s")
    assert (running.returncode, running.stdout) == (2, "")
    assert running.stderr == f"error: search 's' is still running: wait for its end; {why}\n"
    assert called(folder, "rows", "s").stderr == told  # to ask claims nothing


def test_before_a_trial_has_finished_it_says_so_as_well(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    storage = tmp_path / "adiw-searches"
    SearchRecord.create(storage, settings(folder=tmp_path), tmp_path / "space.py")
    ran = called(tmp_path, "rows", "s")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: search 's' is not over: run 'adiw-tune resume s' first;")


@pytest.fixture
def picked_clean_only(tmp_path: Path) -> Path:
    """The folder of a search whose pick is clean-only, better than a weighted trial."""
    (tmp_path / "space.py").write_text(SPACE)
    storage = tmp_path / "adiw-searches"
    record = SearchRecord.create(storage, settings(folder=tmp_path), tmp_path / "space.py")
    story = Story(record.folder)
    quick = {"epochs": 1, "warmup_epochs": 0}
    story.begins(Begin("t0", 0, "search", None, {"method": "clean-only", **quick}))
    story.ends("t0", accuracy=0.9)
    story.begins(Begin("t1", 1, "search", None, quick))
    story.ends("t1", accuracy=0.5)
    record.finish({})
    return tmp_path


def test_a_pick_that_trains_on_other_rows_is_refused_before_data_is_loaded(
    picked_clean_only: Path,
) -> None:
    refused = (
        "error: --rows is not available for method clean-only, which trains on the reference rows "
        "alone: "
    )
    words = ("train", "--from", "s", "--rows", "rows.csv", "--task", "adult")
    ran = called(picked_clean_only, *words)  # there is no such data
    assert (ran.returncode, ran.stdout) == (2, "")
    way = (
        "'adiw-tune rows s' ranks the training rows by a weighted trial; or choose another --method"
    )
    assert ran.stderr == f"{refused}{way}\n"
    asked_for = called(picked_clean_only, *words, "--method", "clean-only")
    assert asked_for.stderr == f"{refused}choose another --method\n"


def test_what_ranks_the_rows_of_such_a_search_is_a_command_that_does(
    picked_clean_only: Path,
) -> None:
    told = called(picked_clean_only, "rows", "s").stderr
    command = "adiw-tune train --from s --method adiw --rows FILE"
    assert told.endswith(f"; '{command}' ranks the rows\n")
    words = command.replace("FILE", "rows.csv").split()[1:]
    assert called(picked_clean_only, *words).returncode == 0
    assert len(read((picked_clean_only / "rows.csv").read_text())) == ROWS


@pytest.fixture
def copied(searched: Finished, tmp_path: Path) -> SearchRecord:
    storage = tmp_path / "adiw-searches"
    shutil.copytree(searched.folder / "adiw-searches", storage)
    return SearchRecord.open(storage, "s")


def test_rows_that_are_damaged_hold_up_no_decision(copied: SearchRecord) -> None:
    for file in copied.folder.rglob("rows.pt"):
        file.write_bytes(file.read_bytes()[:100])
    lines: list[str] = []
    assert suspects_at_end(copied, None, lines.append) is None
    assert len(lines) == 1
    assert lines[0].startswith("the ranked rows were not sent to MLflow: '")
    assert "rows.pt' is damaged" in lines[0]


def test_rows_that_nothing_tells_of_are_left_out_without_a_word(copied: SearchRecord) -> None:
    for file in copied.folder.rglob("rows.pt"):
        file.unlink()
    lines: list[str] = []
    assert suspects_at_end(copied, None, lines.append) is None
    assert lines == []


def test_no_page_shows_other_rows_than_were_trained_on(copied: SearchRecord) -> None:
    digest = of_kind(read_events(copied.folder.parents[1]), "setup")[0]["splits"]["train"]
    events = copied.folder / "events.jsonl"
    events.write_text(events.read_text().replace(digest, 16 * "0"))
    page = copied.folder.parents[1] / "rows.html"
    words = ("rows", "s", "--format", "html", "--output", str(page))
    ran = called(copied.folder.parents[1], *words)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(
        "error: the training rows of task 'digits' have changed since run t"
    )
    assert not page.exists()
