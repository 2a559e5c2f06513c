"""What a submitted search takes along: the user's folder, and this package."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from stat import S_IFREG
from zipfile import ZipFile, ZipInfo

import adiw_tune
from adiw_tune.errors import UserError

_MOST_BYTES = 100 * 2**20  # that a dashboard takes in one request
# What searches leave, and what is made anew elsewhere. What begins with a dot is never sent: it may
# be an environment, a history, or a file of passwords.
_LEFT_OUT = ("adiw-searches", "mlflow.db*", "mlruns", "mlartifacts", "__pycache__")
_IN_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")  # whatever they are called
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
            about = ZipInfo(name)
            about.external_attr = (S_IFREG | _mode(files[name])) << 16
            zipped.writestr(about, files[name].read_bytes())
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
    name = _name_in(folder, path)
    if name is None:
        raise UserError(
            f"{kind} file '{path}' is not below '{folder}', which is what is sent: submit from a "
            "folder that holds it"
        )
    parts = name.parts
    if any(_left_out(folder, Path(*parts[: i + 1]), exclude) for i in range(len(parts))):
        raise UserError(f"{kind} file '{path}' is not sent: its name is among those left out")
    return str(name)


def _name_in(folder: Path, path: Path) -> Path | None:
    """The path as it is written, which may lead through a link; or where all links lead."""
    for below, root in ((Path(os.path.abspath(path)), folder), (path.resolve(), folder.resolve())):
        if below.is_relative_to(root):
            return below.relative_to(root)
    return None


def _files(folder: Path, exclude: Sequence[str]) -> Iterator[Path]:
    """What links lead to is sent as if it lay there; not a folder within itself, without end."""
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).relative_to(folder)
        above = {(folder / one).resolve() for one in (here, *here.parents)}
        folders[:] = [
            name
            for name in folders
            if not _left_out(folder, here / name, exclude)
            and (Path(place) / name).resolve() not in above
        ]
        for name in names:
            path = Path(place) / name
            if not _left_out(folder, here / name, exclude) and path.is_file():
                yield path


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def _left_out(folder: Path, path: Path, exclude: Sequence[str]) -> bool:
    """Whether ``path``, from the folder on, is not sent."""
    if path.name.startswith(".") or any((folder / path / one).exists() for one in _IN_ENVIRONMENTS):
        return True
    patterns = [*_LEFT_OUT, *(pattern.rstrip("/") for pattern in exclude)]
    return any(fnmatch(path.name, pattern) or fnmatch(str(path), pattern) for pattern in patterns)


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
