"""The launchers in jobs/ do what they say, through the command line alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .conftest import Finished
from .helpers import COMMAND, adiw_tune, environment

LOCAL = Path(__file__).parents[2] / "jobs" / "local.sh"


def local(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(LOCAL), *arguments],
        cwd=folder,
        env={**environment(), "PATH": path},
        text=True,
        capture_output=True,
    )


def test_local_goes_on_with_a_search_that_exists(finished: Finished) -> None:
    again = local(finished.folder, "space.py", "s")
    assert again.returncode == 0, again.stderr
    assert again.stdout == adiw_tune(finished.folder, "resume", "s").stdout


def test_local_starts_a_search_that_does_not_exist_with_its_options(tmp_path: Path) -> None:
    refused = local(tmp_path, "none.py", "s", "--trials", "3")
    assert refused.returncode == 2
    assert "no space file 'none.py'" in refused.stderr
    assert not list(tmp_path.iterdir())
    (tmp_path / "space.py").write_text(
        "def space(trial):\n    return {'epochs': 1, 'warmup_epochs': 0}\n"
    )
    refused = local(tmp_path, "space.py", "s", "--trials", "0")
    assert refused.stderr == "error: --trials must be at least 1; got 0\n"


def test_local_without_a_name_says_how_to_call_it(tmp_path: Path) -> None:
    assert local(tmp_path, "space.py").stderr.startswith("usage: bash jobs/local.sh SPACE NAME")
