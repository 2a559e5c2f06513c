"""A record that was moved or copied: what lay beside it is looked for beside it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adiw_tune.addresses import without_credentials
from adiw_tune.errors import UserError
from adiw_tune.record.settings import SearchSettings
from adiw_tune.tracking.check import sqlite_path

if TYPE_CHECKING:
    from adiw_tune.record.record import SearchRecord


def found_again(settings: SearchSettings, folder: Path) -> SearchSettings:
    """The settings with what was moved along with the record named where it is now.

    Args:
        settings: as they were written, perhaps in another place.
        folder: of the record, now.
    """
    if is_in_place(settings, folder):
        return settings
    kept = settings.checkpoints
    paths = {
        "folder": settings.folder,
        "data_dir": settings.data_dir,
        "checkpoints": Path(kept) if kept and "://" not in kept else None,
        "tracking_uri": sqlite_path(settings.tracking_uri),
    }
    changes: dict[str, Any] = {}
    for name, path in paths.items():
        found = path and _mapped(settings, folder, path)
        if found and found.exists():
            changes[name] = found
    if "checkpoints" in changes:
        changes["checkpoints"] = str(changes["checkpoints"])
    if "tracking_uri" in changes:
        changes["tracking_uri"] = f"sqlite:///{changes['tracking_uri']}"
    return settings.model_copy(update=changes)


def is_in_place(settings: SearchSettings, folder: Path) -> bool:
    """Whether a record in ``folder`` is where these settings were written."""
    place = settings.place
    if place is None or place == folder:
        return True
    return place.exists() and place.samefile(folder)


def settle(record: SearchRecord) -> None:
    """Let a record that was moved belong where it is, before anything is written for it.

    Raises:
        UserError: it is a copy, and what it would write to is the original's.
    """
    written = record.settings_as_written()
    if is_in_place(written, record.folder):
        return
    changes: dict[str, Any] = {"place": record.folder}
    if _is_copy(written):
        _check_shares_nothing(record, written)
    elif database := sqlite_path(record.settings.tracking_uri):
        beside = _mapped(written, record.folder, database)
        if beside and not database.exists():  # left on another machine: all is sent to a new one
            changes["tracking_uri"] = f"sqlite:///{beside}"
            (record.folder / "sent.json").unlink(missing_ok=True)
    record.move(**changes)


def _is_copy(written: SearchSettings) -> bool:
    """Whether the original is there still."""
    from adiw_tune.record.record import SearchRecord

    assert written.place is not None
    try:
        original = SearchRecord.open(written.place.parent, written.place.name)
    except UserError:
        return False
    return original.settings.search_id == written.search_id


def _check_shares_nothing(record: SearchRecord, written: SearchSettings) -> None:
    settings = record.settings
    told = (
        f"search '{settings.name}' is a copy of that in '{written.place}', and would write to its"
    )
    if _is_the_same(settings.tracking_uri, written.tracking_uri):
        shown = without_credentials(settings.tracking_uri)
        raise UserError(f"{told} runs in {shown}: {_remedy(record, written)}")
    if settings.checkpoints and settings.checkpoints == written.checkpoints:
        raise UserError(
            f"{told} checkpoints in '{settings.checkpoints}': move it instead of copying it"
        )


def _is_the_same(uri: str, original: str) -> bool:
    ours, theirs = sqlite_path(uri), sqlite_path(original)
    if ours and theirs and ours.exists() and theirs.exists():
        return ours.samefile(theirs)  # a copy may hold a link to it
    return uri == original


def _remedy(record: SearchRecord, written: SearchSettings) -> str:
    database = sqlite_path(written.tracking_uri)
    beside = database and _mapped(written, record.folder, database)
    if not beside:
        return "move it instead of copying it"
    return f"copy '{database}' and the folder mlartifacts beside it to '{beside.parent}' as well"


def _mapped(written: SearchSettings, folder: Path, path: Path) -> Path | None:
    """Where ``path`` lies if it was moved along; None if it lay elsewhere than the record.

    What was moved is taken to be the largest folder in which the record kept its place: if
    a/searches/s is now b/searches/s, all of a was moved to b.
    """
    before, now = written.place, folder
    assert before is not None
    while before.name and before.name == now.name:
        before, now = before.parent, now.parent
    return now / path.relative_to(before) if path.is_relative_to(before) else None
