"""Where the commands print: nothing that comes from outside can give orders to a terminal."""

import errno
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from adiw_tune.text import one_line, printable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # Typer takes care of EPIPE


@dataclass(frozen=True)
class _Printable:
    """What is to be printed, its text without control characters; Rich's own styles stay."""

    inner: ConsoleRenderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


class _PrintableHook(RenderHook):
    def process_renderables(
        self, renderables: Iterable[ConsoleRenderable]
    ) -> list[ConsoleRenderable]:
        """Wrap each."""
        return [_Printable(each) for each in renderables]


def _opened(stream: TextIO | None) -> TextIO:
    """The stream, or one that discards what is printed if the caller has closed it."""
    return stream or open(os.devnull, "w")


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=True, width=width)
    console.push_render_hook(_PrintableHook())
    return console


sys.stdout, sys.stderr = _opened(sys.stdout), _opened(sys.stderr)
out = _console(width=None if sys.stdout.isatty() else 160)
err = _console(stderr=True)


def write(text: str) -> None:
    """Data for another program, or another machine's text, as it is but for control characters."""
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def is_output_full(error: OSError) -> bool:
    """Whether standard output goes to a disk that is full."""
    return error.filename is None and error.errno in _FULL


def tell_unwritten(error: OSError) -> None:
    """Report that standard output cannot be written, and discard what is left to print."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())  # Python writes the rest when it ends
    with out.capture():  # empties the buffer of Rich
        pass
    tell_error(f"cannot write to standard output: {error.strerror}")


def tell_error(text: str) -> None:
    """What went wrong, in one line."""
    err.print(f"error: {one_line(text)}", markup=False)


def warn(line: str) -> None:
    """Print a line of what is not as it should be, and holds up nothing."""
    err.print(f"warning: {line}", markup=False)


def tell_progress(line: str) -> None:
    """Print how far a long command has come."""
    err.print(line, style="dim", markup=False)
