"""What ends a command from outside: SIGTERM and a closed terminal, as Ctrl-C does."""

import os
import signal
from types import FrameType


def end_by_signals() -> None:
    """From now on SIGTERM, and SIGHUP unless it is ignored as under nohup, are taken as Ctrl-C.

    A service, Slurm or Kubernetes stops a command by SIGTERM, and then waits. A script that starts
    one in the background has it ignore SIGINT, which it goes on to do: so SIGTERM is not passed on
    as SIGINT.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        terminals = [number for number in (0, 1, 2) if os.isatty(number)]

        def hang_up(number: int, frame: FrameType | None) -> None:
            """What is still to be printed has no reader, and would be an error."""
            with open(os.devnull, "r+b") as nowhere:
                for terminal in terminals:
                    os.dup2(nowhere.fileno(), terminal)
            _interrupt(number, frame)

        signal.signal(signal.SIGHUP, hang_up)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Do what Ctrl-C does now: while trials run, Tune has a handler that ends them in order."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # SIGINT is ignored
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
