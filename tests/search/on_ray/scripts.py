"""Scripts of a user's own that start Ray, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

_TOO_SLOW = "timed out during startup"  # Ray's processes had 30 s, and the machine other work


def run_script(text: str, folder: Path, *options: str) -> None:
    """Write ``text`` there as script.py, and run it with the folder as its argument.

    Again, up to three times, if the machine was too busy for Ray to start: nothing ran by then.
    """
    script = folder / "script.py"
    script.write_text(text)
    for _ in range(4):
        ran = subprocess.run(
            [sys.executable, *options, script.name, str(folder)],
            cwd=folder,
            text=True,
            capture_output=True,
        )
        if _TOO_SLOW not in ran.stderr:
            break
    assert ran.returncode == 0, ran.stderr
