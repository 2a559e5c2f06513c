"""Files of a record: read if they are files, written whole or not at all, claimed by one process.

Raises:
    UserError: what is there cannot be used; one line that names the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adiw_tune.errors import UserError


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read while the body runs; a directory, or a pipe that would block, is refused."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"cannot read '{path}': it is no regular file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror or error}") from error


def read(path: Path) -> bytes:
    """All of a file."""
    with opened(path) as file:
        return file.read()


def write_atomically(path: Path, text: str) -> None:
    """All of ``text`` or nothing, also when killed."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_text(text + "\n")
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error


def remove(path: Path) -> None:
    """A file, if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove '{path}': {error.strerror}") from error


@contextmanager
def claimed(path: Path, whose: str) -> Iterator[None]:
    """While the body runs, no other process may claim ``path``, a file made for that.

    Raises:
        UserError: ``whose``; it is claimed.
    """
    try:
        file = path.open("a")
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error
    with file:
        with suppress(ImportError):  # where there is no fcntl, nothing is claimed
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(whose) from None
            except OSError:  # of a file system without locks
                pass
        yield


def is_claimed(path: Path) -> bool:
    """Whether a process has claimed ``path``; False where that cannot be found out."""
    with suppress(ImportError, OSError):  # as in :func:`claimed`; or it was never claimed
        import fcntl

        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False
