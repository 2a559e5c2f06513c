"""A copy of the record beside the checkpoints, and the record made from it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from adiw_tune.errors import UserError
from adiw_tune.record.mirror import fetch, mirrored
from adiw_tune.record.record import SearchRecord
from tests.search.made_up import settings


@pytest.fixture
def record(tmp_path: Path) -> SearchRecord:
    """Of a search whose checkpoints, and the copy, are in ``elsewhere``."""
    (tmp_path / "space.py").write_text("# the space\n")
    kept = settings(checkpoints=str(tmp_path / "elsewhere"), budget=None)
    return SearchRecord.create(tmp_path / "searches", kept, tmp_path / "space.py")


def fetched(tmp_path: Path, place: str) -> SearchRecord:
    """On another machine."""
    fetch(tmp_path / place, "s", str(tmp_path / "elsewhere"), "sqlite:////other/mlflow.db")
    return SearchRecord.open(tmp_path / place, "s")


def test_what_was_copied_is_the_record(tmp_path: Path, record: SearchRecord) -> None:
    with mirrored(record):
        record.log.append("session", packages={})
    found = fetched(tmp_path, "there")
    assert found.log.path.read_text() == record.log.path.read_text()
    assert found.space_path.read_text() == "# the space\n"
    changes = {"tracking_uri": "sqlite:////other/mlflow.db", "place": found.folder}
    ours = record.settings.model_copy(update=changes)
    assert found.settings == ours  # the database of the other machine is not there
    assert not found.finished


def test_a_search_that_was_extended_is_not_over_there_either(
    tmp_path: Path, record: SearchRecord
) -> None:
    with mirrored(record):
        record.finish({"divergence": "mmd"})
    assert fetched(tmp_path, "before").finished
    record.extend(4, None, None)
    with mirrored(record):
        pass
    after = fetched(tmp_path, "after")
    assert not after.finished
    assert after.settings.trials == 4  # none had begun


def test_what_cannot_be_fetched_is_told_in_a_line(tmp_path: Path, record: SearchRecord) -> None:
    with mirrored(record):
        pass
    with pytest.raises(UserError, match="no record of a search 'other' in"):
        fetch(tmp_path / "there", "other", str(tmp_path / "elsewhere"), "sqlite:////m.db")
    with pytest.raises(UserError, match="cannot write to storage"):
        fetch(Path("/proc/here"), "s", str(tmp_path / "elsewhere"), "sqlite:////m.db")
    with pytest.raises(UserError, match="the tracking URI holds a password"):
        fetch(tmp_path / "there", "s", str(tmp_path / "elsewhere"), "http://me:secret@host")
    (tmp_path / "elsewhere" / "s" / "record" / "search.json").write_text('{"name": "s"}')
    with pytest.raises(UserError, match=r"search.json' is damaged: no 'search_id'"):
        fetch(tmp_path / "there", "s", str(tmp_path / "elsewhere"), "sqlite:////m.db")
    assert not (tmp_path / "there").exists()
