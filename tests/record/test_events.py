"""The schema of the log: what is read as it was written, what is passed over, what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.events import DamagedError, check_whole, parse
from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from tests.search.made_up import KINDS, details, line

TABLE = Path(__file__).parents[2] / "benchmarks" / "recorded" / "digits.jsonl"


def written(folder: Path, *lines: str) -> EventLog:
    log = EventLog(folder / "events.jsonl")
    log.path.write_text("".join(lines))
    return log


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(tmp_path: Path, kind: str) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append(kind, **details(kind), of_a_later_version=[1, {"a": None}])
    (event,) = log
    assert event == {**json.loads(log.path.read_text()), "of_a_later_version": [1, {"a": None}]}
    check_whole(event)


def test_a_table_that_was_recorded_before_is_read_whole() -> None:
    lines = TABLE.read_bytes().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    for event in events:
        if event["event"] == "epoch":  # an earlier version wrote the accuracy alone
            event["metrics"] = {"accuracy": event["accuracy"]}
    assert [parse(line) for line in lines] == events


def test_a_loss_may_be_nan_and_half_a_character_is_no_hindrance(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("epoch", **details("epoch", loss=math.nan))
    log.append("lost", **details("lost", reason="no file 'a\udcff\x85\u2028\x00'"))
    epoch, lost = log
    assert math.isnan(epoch["loss"])
    assert lost["reason"] == "no file 'a?\x85\u2028\x00'"


@pytest.mark.parametrize(
    "torn",
    [
        "",
        "\0" * 4096,
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"event": "extended", "trials": 1, "more": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "7",
        "null",
        "[1]",
        '["event"]',
        '"event"',
        "{}",
        '{"event": "epo',
        '{"trial": "t0"}',
    ],
    ids=lambda text: text[:20].replace("\0", "0"),
)
def test_a_line_that_is_no_event_is_passed_over(tmp_path: Path, torn: str) -> None:
    log = written(tmp_path, line("session", 1.0), torn + "\n", line("extended", 2.0))
    assert [event["event"] for event in History(log).log] == ["session", "extended"]
    assert History(log).offset == log.path.stat().st_size


def test_so_is_one_that_is_no_text_and_a_long_one_is_read(tmp_path: Path) -> None:
    log = written(tmp_path, line("extended", 1.0))
    with log.path.open("ab") as file:
        file.write(b'{"event": "extended", "trials": 2, "more": "\xff"}\n')
    log.append("extended", trials=3, more="x" * 10_000_000)
    assert [event["trials"] for event in log] == [8, 3]


@pytest.mark.parametrize(
    ("kind", "field", "value", "told"),
    [
        ("epoch", "accuracy", 5, "epoch has accuracy 5: input should be less than or equal to 1"),
        (
            "epoch",
            "metrics",
            {"rmse": math.inf},
            "epoch has metrics.rmse inf: input should",
        ),
        ("epoch", "metrics", {"rmse": "3"}, "epoch has metrics.rmse '3'"),
        ("epoch", "metrics", [], "epoch has metrics []"),
        ("epoch", "accuracy", -0.1, "greater than or equal to 0"),
        ("epoch", "accuracy", math.nan, "epoch has accuracy nan"),
        ("epoch", "accuracy", "0.9", "epoch has accuracy '0.9': input should be a valid number"),
        ("epoch", "accuracy", True, "epoch has accuracy True"),
        ("epoch", "accuracy", None, "epoch has accuracy None"),
        ("epoch", "epoch", 0, "epoch has epoch 0"),
        ("epoch", "epoch", 1.5, "epoch has epoch 1.5: input should be a valid integer"),
        ("epoch", "epoch", 2**70, "epoch has epoch "),
        ("epoch", "work_s", math.inf, "epoch has work_s inf"),
        ("epoch", "wall_s", "long", "epoch has wall_s 'long'"),
        ("epoch", "loss", [], "epoch has loss []"),
        ("epoch", "shares", {"mmd": "all"}, "epoch has shares.mmd 'all'"),
        ("epoch", "trial", 7, "epoch has trial 7: input should be a valid string"),
        ("epoch", "trial", "t'7", 'epoch has trial "t\'7": string should match pattern'),
        ("epoch", "time", "now", "epoch has time 'now'"),
        ("epoch", "time", 1e300, "epoch has time 1e+300"),
        ("trial", "kind", "sought", "trial has kind 'sought': input should be 'search', 'seed'"),
        ("trial", "config", [], "trial has config []: input should be an object"),
        ("trial", "number", -1, "trial has number -1"),
        ("trial", "params", None, "trial has params None"),
        ("trial", "distributions", {"lr": "wide"}, "trial has distributions.lr 'wide'"),
        ("setup", "plain_s", 0, "setup has plain_s 0: input should be greater than 0"),
        ("setup", "ratio", math.nan, "setup has ratio nan"),
        ("setup", "splits", {"test": 1}, "setup has splits.test 1"),
        ("setup", "memory_bytes", 1.5, "setup has memory_bytes 1.5"),
        ("checkpoint", "path", {}, "checkpoint has path {}"),
        ("cut", "rung", None, "cut has rung None"),
        ("lost", "why", "fire", "lost has why 'fire': input should be 'process' or 'memory'"),
        (
            "end",
            "status",
            "asleep",
            "end has status 'asleep': input should be 'finished', 'pruned'",
        ),
        ("end", "accuracy", 1.01, "end has accuracy 1.01"),
        ("end", "reason", 3, "end has reason 3"),
        ("extended", "trials", 0, "extended has trials 0"),
        ("extended", "seeds", 0, "extended has seeds 0"),
        ("extended", "seeds", "10", "extended has seeds '10': input should be a valid integer"),
        ("extended", "seeds", None, "extended has seeds None"),
        ("session", "packages", ["torch"], "session has packages ['torch']"),
        ("test_read", "rows", "all", "test_read has rows 'all'"),
        ("test_read", "again", 0, "test_read has again 0"),
        ("epoch", "event", "epok", "unknown event 'epok', maybe of a newer version"),
        ("epoch", "event", None, "unknown event 'None'"),
    ],
)
def test_a_field_of_another_type_or_range_is_told_with_its_place(
    tmp_path: Path, kind: str, field: str, value: Any, told: str
) -> None:
    damaged = json.dumps({"event": kind, **details(kind), "time": 1.0, field: value}) + "\n"
    log = written(tmp_path, line("session", 0.0), damaged)
    with pytest.raises(UserError) as refused:
        list(log)
    place = f"'{log.path}' is damaged: the line that ends at byte {log.path.stat().st_size}: "
    assert str(refused.value).startswith(place)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_event_of_a_search_lacks_is_named(tmp_path: Path, kind: str) -> None:
    not_told_before = {"shares", "speed", "extra_speed", "memory_bytes", "device_bytes"}
    of_the_last_epoch = {"rung", "metrics", "work_s", "wall_s"} if kind == "end" else set()
    for field in {*details(kind), "time"} - not_told_before - of_the_last_epoch:
        event = json.loads(line(kind, 1.0))
        del event[field]
        log = written(tmp_path, line("session", 0.0), line("trial", 0.0), json.dumps(event) + "\n")
        with pytest.raises(UserError, match=rf"is damaged: .* has no '{field}'$"):
            History(log)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line("end", 1.0, trial="t7")], "trial 't7' has not begun"),
        ([line("trial", 1.0, kind="seed", of="t7", trial="t7-seed0")], "trial 't7' has not begun"),
        ([line("trial", 1.0, kind="winner")], "trial 'None' has not begun"),
        ([line("trial", 1.0), line("end", 2.0)], "trial 't0' finished without an epoch"),
        ([line("trial", 1.0, config={})], "config of a trial has no 'bandwidth'"),
    ],
)
def test_events_that_contradict_each_other_are_told(
    tmp_path: Path, lines: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=rf"events.jsonl' is damaged: the line .*: {told}$"):
        History(written(tmp_path, *lines))


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", "3"), ("divergence", None), ("seed", -1), ("batch_size", 0)]
)
def test_a_configuration_may_be_refused_but_then_nothing_was_trained(
    tmp_path: Path, field: str, value: Any
) -> None:
    config = {**details("trial")["config"], field: value}
    begun = [line("session", 0.0), line("trial", 1.0, config=config)]
    failed = line("end", 2.0, status="failed", reason=f"UserError: {field}")
    assert History(written(tmp_path, *begun, failed)).trials()["status"].tolist() == ["failed"]
    with pytest.raises(UserError, match=rf"is damaged: .*: config has {field} {value!r}: "):
        History(written(tmp_path, *begun, line("epoch", 2.0)))


ODD: list[Any] = [None, True, 0, -1, 5, 1.5, 2**70, 1e308, math.nan, math.inf, "", "x", "\0"]
ODD += [[], [[]], {}, {"a": 1}, "../..", "[red]"]


@pytest.mark.parametrize("kind", KINDS)
def test_any_other_value_is_read_or_refused_in_one_line(kind: str) -> None:
    told: list[str] = []
    for field in {*details(kind), "event", "time"}:
        for value in ODD:
            event = {"event": kind, **details(kind), "time": 1.0, field: value}
            try:
                read = parse(json.dumps(event).encode())
            except DamagedError as error:
                told.append(str(error))
            else:
                assert read is not None
                assert read.keys() == event.keys()
    assert told
    assert not any("\n" in line or "\0" in line for line in told)
