import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.log import EventLog
from adiw_tune.tracking.outbox import Outbox
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi

from .helpers import (
    FakeSearch,
    all_runs,
    children,
    expected_history,
    kill,
    make_search,
    stored_history,
)


@pytest.fixture(autouse=True)
def _environment_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outbox sets these for its process; take them back after each test."""
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)


LAST = make_search().events[-1]["trial"]


def append(path: Path, events: list[dict[str, Any]]) -> None:
    with path.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def start(folder: Path, uri: str) -> Outbox:
    def open_runs() -> SearchRuns:
        return SearchRuns.open(uri, "digits", {}, "search-1")

    log = EventLog(folder / "events.jsonl")
    return Outbox(log.after, open_runs, folder / "outbox.json")


def test_events_written_while_it_runs_are_delivered(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    outbox = start(tmp_path, uri)  # before the file exists
    cut = len(search.events) // 2
    append(tmp_path / "events.jsonl", search.events[:cut])
    wait_for(lambda: outbox.pending == 0, "the first half")
    append(tmp_path / "events.jsonl", search.events[cut:])
    assert outbox.close(60)
    assert outbox.last_error is None
    assert stored_history(uri) == expected_history(search.events)


def test_a_server_killed_in_mid_stream_loses_and_doubles_nothing(
    uri: str, tmp_path: Path, servers: Callable[..., ServedUi]
) -> None:
    search = make_search(16)
    path = tmp_path / "events.jsonl"
    served = servers()
    outbox = start(tmp_path, served.base_url)
    third = len(search.events) // 3
    append(path, search.events[:third])
    wait_for(lambda: len(children(uri)) >= 2, "the first trials")
    kill(served)  # within a batch: some trials are there, the batch is not accepted
    append(path, search.events[third : 2 * third])
    wait_for(lambda: outbox.last_error, "the outbox to notice")
    assert outbox.pending > 0
    servers(int(served.base_url.rpartition(":")[2]))
    append(path, search.events[2 * third :])
    assert outbox.close(60)
    assert outbox.last_error is None
    assert stored_history(uri) == expected_history(search.events)

    (tmp_path / "outbox.json").unlink()  # as after a crash before the position was written
    assert start(tmp_path, served.base_url).close(60)
    assert stored_history(uri) == expected_history(search.events)
    assert len(all_runs(uri)) == 1 + len(expected_history(search.events))


def test_close_tells_that_a_dead_server_has_not_everything(
    search: FakeSearch, tmp_path: Path, uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    append(tmp_path / "events.jsonl", search.events)
    outbox = start(tmp_path, "http://anna:s3cret@127.0.0.1:9")
    wait_for(lambda: outbox.last_error, "the error")
    assert not outbox.close(0.1)
    assert outbox.pending == len(search.events)
    assert "s3cret" not in f"{outbox.last_error} {caplog.text}"
    assert start(tmp_path, uri).close(60)  # the next one delivers all of it
    assert stored_history(uri) == expected_history(search.events)


def test_a_torn_last_line_is_left_until_it_is_whole(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    whole, last = search.events[:-1], json.dumps(search.events[-1])
    append(path, whole)
    with path.open("a") as file:
        file.write(last[:30])
    assert start(tmp_path, uri).close(60)
    assert children(uri)[LAST].info.status == "RUNNING"
    with path.open("a") as file:
        file.write(last[30:] + "\n")
    assert start(tmp_path, uri).close(60)
    assert children(uri)[LAST].info.status == "FINISHED"


@pytest.mark.parametrize("torn", ['{"event": "epo', "[" * 100_000, "[1]\n", '"event"\n', "\0\0"])
def test_what_is_no_event_does_not_stop_delivery(
    uri: str, search: FakeSearch, tmp_path: Path, torn: str
) -> None:
    path = tmp_path / "events.jsonl"
    append(path, search.events[:10])
    with path.open("a") as file:
        file.write(torn)  # killed here
    EventLog(path).append("session")  # begins a line of its own
    append(path, search.events[10:])
    assert start(tmp_path, uri).close(60)
    assert stored_history(uri) == expected_history(search.events)


def test_a_resumed_outbox_goes_on_where_it_stopped(
    uri: str, search: FakeSearch, tmp_path: Path
) -> None:
    append(tmp_path / "events.jsonl", search.events[:20])
    assert start(tmp_path, uri).close(60)
    position = json.loads((tmp_path / "outbox.json").read_text())
    assert position["offset"] == (tmp_path / "events.jsonl").stat().st_size
    append(tmp_path / "events.jsonl", search.events[20:])
    assert start(tmp_path, uri).close(60)
    assert stored_history(uri) == expected_history(search.events)


def test_an_event_that_is_damaged_is_shown_and_nothing_is_thrown_away(
    uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    append(
        tmp_path / "events.jsonl",
        [{"event": "end", "trial": "t", "status": "asleep", "time": 1.8e9}],
    )
    outbox = start(tmp_path, uri)
    wait_for(lambda: outbox.last_error, "the error")
    place = "events.jsonl' is damaged: the line that ends at byte 73: end has status 'asleep'"
    assert place in str(outbox.last_error)
    assert place in caplog.text
    assert not outbox.close(0.1)
    with pytest.raises(UserError, match=r"events.jsonl' is damaged"):
        _ = outbox.pending


@pytest.mark.parametrize("content", ["", "[]", "\0", "[" * 100_000, '{"offset": 1e999}', None])
def test_a_position_that_is_damaged_is_the_start(
    uri: str, search: FakeSearch, tmp_path: Path, content: str | None
) -> None:
    append(tmp_path / "events.jsonl", search.events[:5])
    place = tmp_path / "outbox.json"
    place.write_text(content or json.dumps({"offset": 10**9, "parent_run_id": "another"}))
    assert start(tmp_path, uri).close(60)
    assert stored_history(uri) == expected_history(search.events[:5])
