"""A copy of the record beside the checkpoints, for searches whose machine may not come back."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from adiw_tune.errors import UnsentError, UserError, in_one_line
from adiw_tune.record.addresses import check_no_secrets
from adiw_tune.record.checkpoints import CheckpointStore
from adiw_tune.record.record import (
    SearchRecord,
    check_name_is_free,
    make_whole,
)
from adiw_tune.record.settings import read_settings

_FOLDER = "record"
_FILES = ("search.json", "space.py", "events.jsonl", "decision.json")
_SECONDS_BETWEEN_COPIES = 10.0
_SHARE_OF_TIME = 0.05  # that copies may take: the log of a long search is sent whole


@contextmanager
def mirrored(record: SearchRecord) -> Iterator[None]:
    """While the body runs, and at its end, copy the record to where the checkpoints are.

    Not where they are in the record itself. A copy that fails now is made later.

    Raises:
        UnsentError: the last copy failed.
    """
    if record.settings.checkpoints is None:
        yield
        return
    mirror = _Mirror(record)
    thread = threading.Thread(target=mirror.run, name="adiw-mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        mirror.over.set()
        thread.join()
    mirror.copy_at_last()


def fetch(storage: Path, name: str, checkpoints: str, tracking_uri: str) -> None:
    """Bring the record of a search from where its checkpoints are.

    Args:
        storage, name: where it is to be.
        checkpoints: as the search was given it.
        tracking_uri: MLflow's from now on, if it was a database on the other machine: it is sent
            everything.

    Raises:
        UserError: there is none there.
    """
    check_no_secrets(tracking_uri, checkpoints)
    check_name_is_free(storage, name)
    store = CheckpointStore(checkpoints, name)
    try:
        if not store.exists(f"{_FOLDER}/search.json"):
            raise UserError(f"no record of a search '{name}' in '{checkpoints}'")
        there = [file for file in _FILES if store.exists(f"{_FOLDER}/{file}")]
        found = {file: store.read(f"{_FOLDER}/{file}") for file in there}
    except OSError as error:
        raise UserError(f"cannot read '{checkpoints}': {in_one_line(error)}") from error
    settings = read_settings(found["search.json"], f"{checkpoints}/{name}/{_FOLDER}/search.json")
    changes: dict[str, Any] = {"place": storage.absolute() / name}
    if settings.tracking_uri.startswith("sqlite"):
        changes["tracking_uri"] = tracking_uri
    settings = settings.model_copy(update=changes)
    found["search.json"] = settings.model_dump_json(indent=2).encode()
    make_whole(storage, name, found)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change; None if there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


class _Mirror:
    def __init__(self, record: SearchRecord) -> None:
        self.over = threading.Event()
        self._record = record
        self._copied: dict[str, tuple[int, int] | None] = {}  # None: it is not there

    def run(self) -> None:
        wait_s = _SECONDS_BETWEEN_COPIES
        while not self.over.wait(wait_s):
            start = time.monotonic()
            with suppress(OSError):
                self.copy()
            took_s = time.monotonic() - start
            wait_s = max(_SECONDS_BETWEEN_COPIES, took_s / _SHARE_OF_TIME)

    def copy(self) -> None:
        store, folder = self._record.checkpoints, self._record.folder
        # What is gone goes first: the decision of a search that was extended, before its events.
        for file in sorted(_FILES, key=lambda file: (folder / file).exists()):
            path, there = folder / file, f"{_FOLDER}/{file}"
            as_it_is = _state(path)  # before it is read: what is added meanwhile is copied later
            if file in self._copied and as_it_is == self._copied[file]:
                continue
            if as_it_is is None:
                store.remove(there)
            else:
                store.write(there, path.read_bytes())
            self._copied[file] = as_it_is

    def copy_at_last(self) -> None:
        try:
            self.copy()
        except OSError as error:
            where = self._record.settings.checkpoints
            raise UnsentError(f"the record could not be copied to '{where}': {error}") from error
