"""What figures are recorded with: the commit they were measured on, and the machine."""

import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

_ROOT = Path(__file__).parent.parent


def commit() -> str:
    """The commit checked out, and whether the package differs from it."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", "adiw_tune")
    return f"{head} with uncommitted changes" if changed else head or "unknown"


def machine() -> str:
    """Processor, GPU if any, CPU threads, and versions."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    threads = f"{torch.get_num_threads()} CPU thread(s)"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{cpu}{gpu}, {threads}, {versions}"


def results_in(file: Path) -> list[dict[str, Any]]:
    """The results in a file of JSON lines; none if there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def append_result(file: Path, result: dict[str, Any]) -> None:
    """Add a line to a file of JSON lines, and show it on stderr."""
    line = json.dumps(result)
    with file.open("a") as lines:
        lines.write(line + "\n")
    print(line, file=sys.stderr, flush=True)


def percent_over_seeds(shares: list[float]) -> str:
    """A cell of a table: mean ± deviation in percent, and the number of seeds unless it is 3."""
    if not shares:
        return "-"
    spread = f" ± {100 * stdev(shares):.1f}" if len(shares) > 1 else ""
    seeds = "" if len(shares) == 3 else f" ({len(shares)})"
    return f"{100 * mean(shares):.1f}{spread}{seeds}"


def has_qp() -> bool:
    """Whether DIW's exact solver is there; it is not on many machines with a GPU."""
    return importlib.util.find_spec("cvxopt") is not None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, check=False, cwd=_ROOT
    )
    return done.stdout.strip()
