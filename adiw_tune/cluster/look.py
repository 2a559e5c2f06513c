"""What a machine has of what a search needs: found out there, compared by the doctor."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.record.checkpoints import CheckpointStore
from adiw_tune.record.provenance import provenance
from adiw_tune.tracking.check import check_tracking_uri
from adiw_tune.user_file import is_file, run_file

_WORD = "word"  # the file in which the first machine says what the others must find


@dataclass(frozen=True)
class Places:
    """What is asked of each machine.

    Args:
        word: what the first machine wrote, by which a directory is known to be the same.
        shared: the directory or URL in which trials keep what they go on from; None: not asked.
        tracking_uri: MLflow's; None: not asked.
        files: Python files that trials run, and files of labels -> of which kind they are.
    """

    word: str
    shared: str | None
    tracking_uri: str | None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> CheckpointStore:
        """A directory of the doctor's own in ``shared``."""
        return CheckpointStore(self.shared or "", f".adiw-doctor-{self.word}")


@dataclass(frozen=True)
class Seen:
    """What a machine has.

    Args:
        versions: of what numbers depend on; ``its code`` is a digest of what training runs through.
        gpus: that torch can use.
        wrong: ``shared``, ``tracking`` or ``files`` -> why it does not work there, in one line.
    """

    versions: dict[str, str | None]
    gpus: int
    wrong: dict[str, str]


def look(places: Places, me: str) -> dict[str, Any]:
    """What this machine has, as :class:`Seen` takes it.

    Args:
        places: what is asked of it.
        me: its name among the machines, letters and digits.
    """
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides GPUs from a task that asks for none
    import torch

    wrong: dict[str, str] = {}
    if places.shared is not None:
        _note(wrong, "shared", partial(_find_and_answer, places, me))
    if places.tracking_uri is not None:
        _note(wrong, "tracking", partial(check_tracking_uri, places.tracking_uri))
    for path, kind in places.files.items():
        _note(wrong, "files", partial(_try_file, Path(path), kind))
    return asdict(Seen(versions(), torch.cuda.device_count(), wrong))


def _try_file(path: Path, kind: str) -> None:
    if is_file(path.name):
        run_file(path, kind, f"what a {kind} needs")
    else:
        path.open("rb").close()


@contextmanager
def word_left(places: Places) -> Iterator[None]:
    """While the body runs, the others can find the word, and answer it."""
    store = places.store
    store.filesystem.create_dir(store.base)
    try:
        _write(store, _WORD, places.word)
        yield
    finally:
        with suppress(OSError):
            store.filesystem.delete_dir(store.base)


def _find_and_answer(places: Places, me: str) -> None:
    store = places.store
    if not store.exists(_WORD) or store.read(_WORD) != places.word.encode():
        raise UserError("what is written to it here is not found there")
    _write(store, me, places.word)


def versions() -> dict[str, str | None]:
    """Of what numbers depend on, here."""
    found = provenance()
    # Ray asks for the same minor version of Python, and numbers for no more.
    python = found["python"].rpartition(".")[0]
    ours = {"adiw-tune": version("adiw-tune"), "its code": found["code"]}
    return {"python": python, "ray": version("ray"), **found["packages"], **ours}


def _note(wrong: dict[str, str], name: str, check: Callable[[], object]) -> None:
    try:
        check()
    except UserError as error:
        wrong.setdefault(name, str(error))
    except Exception as error:  # whatever a file system or a user's file may raise
        wrong.setdefault(name, in_one_line(error))


def _write(store: CheckpointStore, name: str, text: str) -> None:
    with store.filesystem.open_output_stream(store.absolute(name)) as file:
        file.write(text.encode())
