"""Output files that a user names: refused before the work is done, written whole or not at all."""

import os
import secrets
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adiw_tune.errors import UserError

_DESCRIPTORS = 256  # those that shells give are among the first


@dataclass(frozen=True)
class OutputFile:
    """A file that an option names.

    Args:
        option: such as --output, for errors.
        path: where it is to be.
    """

    option: str
    path: Path

    def check(self, is_like: Callable[[Path], bool], what: str) -> None:
        """Refuse a place that cannot be written, or whose content would be lost.

        A new name is right, an empty file, and one that is replaced by its like.

        Args:
            is_like: whether a file that is there is one of these, and may be replaced.
            what: what such a file holds, for errors.

        Raises:
            UserError: it is something else, or cannot be written.
        """
        try:
            self._check_found(self.path.stat(), is_like, what)
        except FileNotFoundError:
            pass
        except OSError as error:  # such as too long a name, or a loop of links
            raise self._refused(error) from error
        part = self._part()
        try:
            part.touch(exist_ok=False)
            part.unlink()
        except OSError as error:
            raise self._refused(error) from error

    def write(self, pieces: Iterable[str]) -> None:
        """Write the pieces of a text, one after the other, as :meth:`save` does."""

        def written(part: Path) -> None:
            with part.open("w", encoding="utf-8", errors="replace", newline="") as file:
                for piece in pieces:
                    file.write(piece)

        self.save(written)

    def save(self, written: Callable[[Path], object]) -> None:
        """Have ``written`` write a file, and put it in place: it is whole there, or not at all.

        Raises:
            UserError: it cannot be written, as where the disk is full.
        """
        part = self._part()
        try:
            written(part)
            part.replace(self.path.resolve())  # of a link what it leads to, and not the link
        except OSError as error:
            raise self._refused(error) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _check_found(
        self, found: os.stat_result, is_like: Callable[[Path], bool], what: str
    ) -> None:
        name = f"{self.option} '{self.path}'"
        if stat.S_ISDIR(found.st_mode):
            raise UserError(f"{name} is a directory: name a file")
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{name} is not a regular file: name another file")
        if _is_open_here(found):  # to replace it would lose what is printed
            raise UserError(
                f"{name} is the file that this command prints to, or has open: name another one"
            )
        if found.st_size and not is_like(self.path):
            raise UserError(f"{name} exists and does not hold a {what}: name another file")
        if not os.access(self.path, os.W_OK):
            raise UserError(f"cannot write {name}: it is read-only")

    def _part(self) -> Path:
        """A new name beside the file, however long the file's own is."""
        return self.path.resolve().with_name(f".adiw-tune-{secrets.token_hex(8)}.part")

    def _refused(self, error: OSError) -> UserError:
        why = error.strerror or str(error)
        return UserError(f"cannot write {self.option} '{self.path}': {why}")


def begins_with(text: str) -> Callable[[Path], bool]:
    """Whether a file begins with ``text``."""
    expected = text.encode()

    def begins(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(expected)) == expected

    return begins


def _is_open_here(found: os.stat_result) -> bool:
    """Whether this process has the file open, as by ``> file`` in a shell, under any name."""
    for number in range(_DESCRIPTORS):
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), found):
                return True
    return False
