"""What ends a command from outside, and what does not."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.cli import main

LONG = ("train", "--epochs", "500", "--batch-size", "64", "--method", "erm")
SHORT = ("train", "--epochs", "2", "--batch-size", "64", "--method", "erm")
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of this process are put back."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class _Signalled(io.StringIO):
    """What a command prints; at its second line the process is sent a signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        before = self.getvalue().count("\n")
        written = super().write(text)
        if before < 2 <= self.getvalue().count("\n"):
            os.kill(os.getpid(), self._number)
        return written


def ended(folder: Path, number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Exit code of a command that is sent a signal while it trains, and what it printed."""
    printed = _Signalled(number)
    argv, sys.argv = sys.argv, ["adiw-tune", *arguments]
    try:
        with chdir(folder), redirect_stdout(printed), redirect_stderr(printed):
            main()
    except SystemExit as end:
        return int(end.code or 0), printed.getvalue()
    finally:
        sys.argv = argv
    return 0, printed.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("sigint", [signal.SIG_IGN, signal.default_int_handler])
def test_a_command_ends_as_by_ctrl_c_also_in_the_background_of_a_script(
    tmp_path: Path, number: signal.Signals, sigint: Any
) -> None:
    signal.signal(signal.SIGINT, sigint)
    signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup
    code, printed = ended(tmp_path, number, *LONG)
    assert code == 130
    assert "Traceback" not in printed


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_nohup_and_what_a_script_ignores_stay_ignored(
    tmp_path: Path, number: signal.Signals
) -> None:
    signal.signal(number, signal.SIG_IGN)
    assert ended(tmp_path, number, *SHORT)[0] == 0
