"""Checkpoints in an object store, and a search whose machine does not come back."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..s3 import S3_KEYS, serving_s3
from .helpers import (
    Running,
    adiw_tune,
    assert_each_trial_ran_once,
    assert_tells_the_same,
    called,
    of_kind,
    read_events,
    trials_in,
)

SPACE = """
def space(trial):
    values = {"epochs": trial.suggest_int("epochs", 3, 5), "batch_size": 8}
    return {**values, "divergence": trial.suggest_categorical("divergence", ["mmd", "squared"])}
"""
SEARCH = ("search", "space.py", "--name", "s", "--trials", "2", "--seeds", "0", "--no-baselines")
SEARCH = (*SEARCH, "--no-early-stopping", "--checkpoints")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket that a server which speaks S3 holds."""
    for name, value in S3_KEYS.items():
        monkeypatch.setenv(name, value)
    with serving_s3("searches") as endpoint:
        yield f"s3://searches/of-ours?scheme=http&endpoint_override={endpoint}"


@pytest.mark.slow
def test_a_search_goes_on_where_nothing_of_it_is_but_its_bucket(
    tmp_path: Path, bucket: str
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here, elsewhere):
        folder.mkdir()
        (folder / "space.py").write_text(SPACE)
    with Running(here, *SEARCH, bucket) as search:
        search.wait_until(lambda: "t1" in trials_in(read_events(here), "checkpoint"))
        search.send(signal.SIGINT)
    before = read_events(here)
    written = b"".join(path.read_bytes() for path in here.rglob("*") if path.is_file())
    assert S3_KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in written
    assert not (here / "adiw-searches/s/ray").exists()
    shutil.rmtree(here)

    ran = adiw_tune(elsewhere, "resume", "s", "--checkpoints", bucket)
    assert ran.returncode == 0, ran.stderr
    events = read_events(elsewhere)
    assert events[: len(before)] == before
    assert {event["status"] for event in of_kind(events, "end")} == {"finished"}
    assert_each_trial_ran_once(events)
    assert_tells_the_same(elsewhere)
    again = adiw_tune(elsewhere, *SEARCH, bucket, "--storage", "another")
    assert again.returncode == 2
    assert again.stderr.startswith("error: 's3://searches/of-ours")
    assert "holds checkpoints of a search 's' already" in again.stderr


@pytest.mark.parametrize(
    ("checkpoints", "told"),
    [
        ("s3://key:secret@bucket/x", "error: the URL of the checkpoints holds a key"),
        ("nowhere://bucket/x", "error: cannot open checkpoints 'nowhere://bucket/x'"),
    ],
)
def test_a_place_for_checkpoints_that_cannot_be(
    tmp_path: Path, checkpoints: str, told: str
) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    ran = called(tmp_path, *SEARCH, checkpoints)
    assert ran.returncode == 2
    assert ran.stderr.startswith(told)
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "adiw-searches").exists()
