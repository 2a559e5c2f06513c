from __future__ import annotations

import json
from pathlib import Path

import pytest

from adiw_tune.errors import UserError
from adiw_tune.search.record import (
    EventLog,
    SearchRecord,
    SearchSettings,
    arm,
    write_atomically,
)

CONFIG = {"method": "adiw", "divergence": "kl", "epochs": 2}
BEGUN = {"event": "trial", "trial": "a", "number": 0, "config": CONFIG, "time": 1.0}
EPOCH = {"event": "epoch", "trial": "a", "epoch": 1, "accuracy": 0.5, "train_seconds": 2.0}
END = {"event": "end", "trial": "a", "status": "failed", "reason": "ValueError: no"}


def settings(name: str = "s") -> SearchSettings:
    return SearchSettings(
        name=name, search_id="0", trials=4, seed=0, concurrency=1, gpus_per_trial=0.0,
        tracking_uri="sqlite:///mlflow.db", data_dir=None, address=None, version="0",
    )  # fmt: skip


def create(storage: Path, name: str = "s") -> SearchRecord:
    (storage.parent / "space.py").write_text("# the space\n")
    return SearchRecord.create(storage, settings(name), storage.parent / "space.py")


def test_a_record_is_opened_as_it_was_created(tmp_path: Path) -> None:
    created = create(tmp_path / "searches")
    opened = SearchRecord.open(tmp_path / "searches", "s")
    assert opened.settings == created.settings
    assert opened.space_path.read_text() == "# the space\n"
    assert opened.trials().empty
    assert opened.front().empty
    assert not opened.finished
    opened.finish(None)
    assert opened.finished


def test_the_table_follows_the_events(tmp_path: Path) -> None:
    record = create(tmp_path / "searches")
    told = []
    for event in (BEGUN, EPOCH, END):
        record.events.append(event)
        row = record.trials().iloc[0]
        told.append((row["status"], row["epochs"], row["divergence"], row["config"]))
    assert told == [
        ("running", 0, "kl", CONFIG), ("running", 1, "kl", CONFIG), ("failed", 1, "kl", CONFIG),
    ]  # fmt: skip
    assert record.trials()["reason"].tolist() == ["ValueError: no"]


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"method": "adiw", "divergence": "auto"}, "auto"),
        ({"method": "adiw", "divergence": "/home/me/near.py"}, "near.py"),
        ({"method": "giw", "divergence": "auto"}, "giw"),
        ({"divergence": "kl"}, "kl"),
    ],
)
def test_trials_are_compared_by_divergence_or_method(config: dict[str, str], label: str) -> None:
    assert arm(config) == label


@pytest.mark.parametrize(
    "torn", [b"", b'{"event": "epo', b'{"event": "epoch"}', b"\xff\n", b"[]\n"]
)
def test_what_a_kill_tore_is_passed_over_and_written_after(tmp_path: Path, torn: bytes) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append(BEGUN)
    with log.path.open("ab") as file:
        file.write(torn)
    assert list(log) == [BEGUN]
    log.append(END)
    assert [event for event in log if event.get("trial")] == [BEGUN, END]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    create(tmp_path / "searches")
    with pytest.raises(UserError, match="adiw-tune resume s"):
        create(tmp_path / "searches")


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    path = create(tmp_path / "searches").folder / "search.json"
    for damage in ('{"name": "s"}', "", "[]", '{"name": '):
        path.write_text(damage)
        with pytest.raises(UserError, match="is damaged") as caught:
            SearchRecord.open(tmp_path / "searches", "s")
        assert "\n" not in str(caught.value)


def test_an_unknown_name_is_met_with_the_known_ones(tmp_path: Path) -> None:
    create(tmp_path / "searches", "one")
    create(tmp_path / "searches", "two")
    with pytest.raises(UserError, match="there are one, two"):
        SearchRecord.open(tmp_path / "searches", "three")


def test_the_commands_name_the_storage_where_it_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = create(tmp_path / "my searches")
    assert elsewhere.resume_command() == f"adiw-tune resume s --storage '{tmp_path}/my searches'"
    default = create(Path("adiw-searches").absolute())
    assert default.train_command() == "adiw-tune train --from s"
    assert (
        default.train_command("best-under=20") == "adiw-tune train --from s --policy best-under=20"
    )
    assert default.ui_command() == "adiw-tune ui s"


def test_an_atomic_write_replaces_the_whole_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "decision.json"
    write_atomically(path, json.dumps({"a": 1}))
    write_atomically(path, json.dumps({"b": 2}))
    assert json.loads(path.read_text()) == {"b": 2}
    assert list(tmp_path.iterdir()) == [path]
