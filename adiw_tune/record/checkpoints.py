"""Where the runs of a search keep their checkpoints: a directory, or a URL such as s3://bucket/x."""

import uuid
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath

from pyarrow import fs

from adiw_tune.addresses import without_credentials
from adiw_tune.errors import UserError, in_one_line
from adiw_tune.record.addresses import checkpoints_parts


class CheckpointStore:
    """A tree of files that every machine reaches.

    Args:
        root: an absolute path, or a URL that pyarrow or fsspec knows.
        name: of the search's own directory in it.

    Raises:
        UserError: it is a URL that neither knows. Nothing is asked over the network yet.
    """

    def __init__(self, root: str, name: str) -> None:
        self.root = root
        self.name = name
        _ = self._place

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        if "://" not in self.root:
            return fs.LocalFileSystem(), self.root
        checkpoints_parts(self.root)
        try:
            found, path = fs.FileSystem.from_uri(self.root)
            return found, str(path)
        except (OSError, ValueError):  # not one of pyarrow's own
            return _by_fsspec(self.root)

    @property
    def shown(self) -> str:
        """The root as it may be told."""
        return without_credentials(self.root)

    @property
    def filesystem(self) -> fs.FileSystem:
        """pyarrow's."""
        return self._place[0]

    @property
    def base(self) -> str:
        """The search's own directory, as the file system calls it."""
        return str(PurePosixPath(self._place[1]) / self.name)

    def relative(self, path: str) -> str:
        """``path`` of the file system's, from the search's own directory on."""
        return str(PurePosixPath(path).relative_to(self.base))

    def absolute(self, path: str) -> str:
        """The opposite. One that is absolute already, of a former version's record, stays."""
        return str(PurePosixPath(self.base) / path)

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        found = self.filesystem.get_file_info(self.absolute(path))
        return bool(found.type == fs.FileType.File)

    def read(self, path: str) -> bytes:
        """All of a file."""
        with self.filesystem.open_input_stream(self.absolute(path)) as file:
            return bytes(file.readall())

    def write(self, path: str, content: bytes) -> None:
        """A file, all of it."""
        target = self.absolute(path)
        self.filesystem.create_dir(str(PurePosixPath(target).parent), recursive=True)
        with self.filesystem.open_output_stream(target) as file:
            file.write(content)

    def check_writable(self) -> None:
        """Leave a file beside the search's directory, and take it away again, with its directories.

        Raises:
            UserError: that cannot be done.
        """
        probe = str(PurePosixPath(self._place[1]) / f".adiw-tune-{uuid.uuid4().hex}")
        try:
            missing = self._missing()
            self.filesystem.create_dir(self._place[1], recursive=True)
            with self.filesystem.open_output_stream(probe) as file:
                file.write(b"")
            self.filesystem.delete_file(probe)
            for made in missing:
                with suppress(OSError):  # another search has come to use it
                    made.rmdir()
        except Exception as error:  # whatever somebody's file system raises
            raise UserError(
                f"cannot write checkpoints to '{self.shown}': {in_one_line(error)}"
            ) from error

    def _missing(self) -> list[Path]:
        """The directories that writing here makes, the innermost first; a URL's are not known."""
        if "://" in self.root:
            return []
        here = Path(self._place[1])
        return [path for path in (here, *here.parents) if not path.exists()]

    def remove(self, path: str) -> None:
        """A file, if it is there."""
        if self.exists(path):
            self.filesystem.delete_file(self.absolute(path))

    def remove_all(self) -> None:
        """The search's own directory, if it is there."""
        if self.filesystem.get_file_info(self.base).type == fs.FileType.Directory:
            self.filesystem.delete_dir(self.base)

    def sessions(self) -> int:
        """How many directories there are: one for each time the search was started."""
        chosen = fs.FileSelector(self.base, allow_not_found=True)
        try:
            infos = self.filesystem.get_file_info(chosen)
        except OSError as error:
            raise UserError(
                f"cannot read checkpoints '{self.root}': {in_one_line(error)}"
            ) from error
        return sum(info.type == fs.FileType.Directory for info in infos)


def absolute(root: str) -> str:
    """A directory's path from the top; a URL as it is."""
    return root if "://" in root else str(Path(root).absolute())


def _by_fsspec(url: str) -> tuple[fs.FileSystem, str]:
    import fsspec

    try:
        found, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # whatever somebody's file system raises
        told = f"cannot open checkpoints '{without_credentials(url)}': {in_one_line(error)}"
        raise UserError(told) from error
    return fs.PyFileSystem(fs.FSSpecHandler(found)), str(path)
