"""What a submitted search takes along: the user's folder, and this package."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import adiw_tune
from adiw_tune.errors import UserError

_MOST_BYTES = 100 * 2**20  # that a dashboard takes in one request
# What searches leave, and what is made anew elsewhere. What begins with a dot is never sent: it may
# be an environment, a history, or a file of passwords.
_LEFT_OUT = ("adiw-searches", "mlflow.db*", "mlruns", "mlartifacts", "__pycache__", "venv")
_LARGEST = 3


def pack(folder: Path, exclude: Sequence[str], into: Path) -> Path:
    """A zip file of a folder in ``into``, the same to the byte for the same files.

    Args:
        folder: what is to be sent.
        exclude: further names, or paths from the folder on, with ``*`` as in a shell.
        into: a directory.

    Raises:
        UserError: it is more than Ray takes; nothing was written.
    """
    files = {str(path.relative_to(folder)): path for path in _files(folder, exclude)}
    sizes = {name: path.stat().st_size for name, path in files.items()}
    if sum(sizes.values()) > _MOST_BYTES:
        raise UserError(_too_large(folder, sizes))
    target = into / "folder.zip"
    with ZipFile(target, "w") as zipped:
        for name in sorted(files):
            # Without the file's own time: what is known by its contents is sent once.
            zipped.writestr(ZipInfo(name), files[name].read_bytes())
    return target


def package_modules(into: Path) -> list[str]:
    """This package as modules for Ray, with what makes its version known there."""
    number = version("adiw-tune")
    about = into / f"adiw_tune-{number}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: adiw-tune\nVersion: {number}\n")
    return [str(Path(adiw_tune.__file__).parent), str(about)]


def sent_as(path: Path, kind: str, folder: Path, exclude: Sequence[str]) -> str:
    """The path of a file from the folder on; refuse one that is not sent."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{kind} file '{path}' is not below '{folder}', which is what is sent: submit from a "
            "folder that holds it"
        )
    name = path.resolve().relative_to(folder.resolve())
    if any(_left_out(Path(*name.parts[: i + 1]), exclude) for i in range(len(name.parts))):
        raise UserError(f"{kind} file '{path}' is not sent: its name is among those left out")
    return str(name)


def _files(folder: Path, exclude: Sequence[str]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = [name for name in folders if not _left_out(here / name, exclude)]
        for name in names:
            path = Path(place) / name
            if not _left_out(here / name, exclude) and path.is_file():
                yield path


def _left_out(path: Path, exclude: Sequence[str]) -> bool:
    patterns = [*_LEFT_OUT, *(pattern.rstrip("/") for pattern in exclude)]
    return path.name.startswith(".") or any(
        fnmatch(path.name, pattern) or fnmatch(str(path), pattern) for pattern in patterns
    )


def _too_large(folder: Path, sizes: dict[str, int]) -> str:
    entries: dict[str, int] = {}
    for name, size in sizes.items():
        top = Path(name).parts[0]
        entries[top] = entries.get(top, 0) + size
    largest = sorted(entries, key=lambda name: -entries[name])[:_LARGEST]
    told = ", ".join(f"{name} ({_mebibytes(entries[name])})" for name in largest)
    return (
        f"'{folder}' is too large to send: {_mebibytes(sum(sizes.values()))} where Ray takes "
        f"{_mebibytes(_MOST_BYTES)}; the largest are {told}: leave them out by --exclude NAME, and "
        "put data where --data-dir names it on the cluster"
    )


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
