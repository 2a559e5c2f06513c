"""A record of an earlier version, which knew no metric but accuracy and no optimiser but Adam."""

from __future__ import annotations

import json
from pathlib import Path

from adiw_tune.record.record import SearchRecord
from tests.cli.helpers import called
from tests.search.made_up import Story, settings

NEW = ("model", "optimizer", "clip_norm")


def earlier(folder: Path) -> None:
    """Two finished trials and a reading, as they were written then."""
    (folder / "space.py").write_text("def space(trial):\n    return {}\n")
    made = settings(name="old", folder=folder, seeds=0)
    record = SearchRecord.create(folder / "adiw-searches", made, folder / "space.py")
    story = Story(record.folder)
    story.trial(0, accuracy=0.8, work_s=1.0)
    record.log.append("setup", trial="t0", device="d", splits={}, plain_s=0.001, ratio=1.0)
    story.trial(1, accuracy=0.9, work_s=2.0)
    record.log.append("test_read", trial="t1", metrics={"accuracy": 0.85}, rows=40, again=False)
    record.finish({})
    lines = [json.loads(line) for line in record.log.path.read_text().splitlines()]
    for event in lines:
        if values := event.pop("metrics", None):
            event["accuracy"] = values["accuracy"]
        if event["event"] == "trial":
            event["config"] = {k: v for k, v in event["config"].items() if k not in NEW}
    assert any(event["event"] == "epoch" and "accuracy" in event for event in lines)
    record.log.path.write_text("".join(json.dumps(event) + "\n" for event in lines))
    path = record.folder / "search.json"
    known = json.loads(path.read_text())
    del known["metric"], known["greater_is_better"]
    path.write_text(json.dumps(known))


def test_it_is_read_as_one_of_the_accuracy(tmp_path: Path) -> None:
    earlier(tmp_path)
    front = called(tmp_path, "front", "old", "--format", "csv")
    assert front.stdout.startswith("trial,number,divergence,status,accuracy,work_s,")
    assert len(front.stdout.splitlines()) == 3
    best = json.loads(called(tmp_path, "best", "old", "--format", "json").stdout)
    assert (best["metric"], best["value"], best["trial"]) == ("accuracy", 0.9, "t1")
    assert best["metrics"] == {"accuracy": 0.9}
    text = called(tmp_path, "best", "old", "--policy", "fastest-within=0.1").stdout
    assert "trial 0 (t0): accuracy 0.8000 on the select split" in text
    assert "it is the fastest within 10 points of the most accurate, 0.9000" in text
    again = called(tmp_path, "finalize", "old")
    assert again.returncode == 2
    assert "accuracy 0.8500; --again reads it once more" in again.stderr


def test_its_steps_count_in_one_unit_with_those_of_now(tmp_path: Path) -> None:
    earlier(tmp_path)
    history = SearchRecord.open(tmp_path / "adiw-searches", "old").history()
    first = history.runs["t0"]
    assert "optimizer" not in first.config
    now = first.config | {"model": None, "optimizer": "adam", "clip_norm": None}
    assert history.plain_s(now) == 0.001
    for other in ({"optimizer": "sgd"}, {"clip_norm": 1.0}, {"model": {"width": 8}}):
        assert history.plain_s(now | other) is None


def test_so_is_its_log_without_the_record(tmp_path: Path) -> None:
    earlier(tmp_path)
    table = tmp_path / "adiw-searches" / "old" / "events.jsonl"
    replayed = called(tmp_path, "replay", str(table), "--seeds", "2", "--workers", "1")
    assert replayed.returncode == 0, replayed.stderr
    assert "ASHA on accuracy" in replayed.stdout
