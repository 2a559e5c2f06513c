from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adiw_tune.record.log import EventLog
from tests.search.made_up import details

KILLED = """
import os
import signal
import sys
from pathlib import Path

from adiw_tune.record.log import EventLog

log = EventLog(Path(sys.argv[1]))
for epoch in range(100):
    log.append("epoch", trial="t0", epoch=epoch + 1, accuracy=0.5, work_s=1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that the disk was waited for."""
    waited: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        waited.append(file)
        real(file)

    monkeypatch.setattr("os.fsync", fsync)
    return waited


def test_every_event_survives_the_kill_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    ran = subprocess.run([sys.executable, "-c", KILLED, str(path)])
    assert ran.returncode == -signal.SIGKILL
    assert [event["epoch"] for event in EventLog(path)] == list(range(1, 101))


def test_epochs_at_many_a_second_wait_for_the_disk_together(
    tmp_path: Path, syncs: list[int]
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("trial", **details("trial"))
    for epoch in range(50):
        log.append("epoch", **details("epoch", epoch=epoch + 1))
    assert len(syncs) < 25, "50 epochs take nowhere near 25 s"
    before = len(syncs)
    for event in ("cut", "end", "lost", "setup"):
        log.append(event, **details(event))
    assert len(syncs) == before + 4


def test_an_epoch_after_a_quiet_second_does_not_wait_for_others(
    tmp_path: Path, syncs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("adiw_tune.record.log.monotonic", lambda: now)
    log = EventLog(tmp_path / "events.jsonl")
    log.append("trial", **details("trial"))
    now += 0.9
    log.append("epoch", **details("epoch"))
    assert len(syncs) == 1
    now += 0.2
    log.append("epoch", **details("epoch"))
    assert len(syncs) == 2


def test_a_log_that_was_written_to_can_be_pickled_and_lets_its_file_go(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("trial", **details("trial"))
    again = pickle.loads(pickle.dumps(log))
    again.append("end", **details("end"))
    assert [event["event"] for event in log] == ["trial", "end"]
    file = again._file
    assert file is not None
    os.fstat(file)
    del again
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)
