"""What a run's numbers depend on besides its configuration: code, packages, machine."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from adiw_tune.cores import usable_cores

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "cvxopt")
_ROOMS = ("divergences", "weights", "tasks", "training")


def provenance() -> dict[str, Any]:
    """Versions of the packages that compute, the code of this one, its commit if any, machine."""
    return {
        "packages": {name: _version(name) for name in _PACKAGES},
        "code": _code(),
        "commit": _commit(),
        "python": platform.python_version(),
        "machine": _machine(),
    }


def versions() -> dict[str, str | None]:
    """Of what a run is run by; on a cluster nodes may differ in them."""
    named = {name: _version(name) for name in ("torch", "ray", "adiw-tune")}
    return {"python": platform.python_version(), **named}


def _code() -> str:
    """A digest of the files that training runs through."""
    package = Path(__file__).parents[1]
    files = sorted(path for room in _ROOMS for path in (package / room).rglob("*.py"))
    text = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(text).hexdigest()[:16]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the working tree that this package lies in; ``+`` behind it says that files differ."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    differs = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "adiw_tune")
    return head + "+" * bool(differs) if head else None


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError:  # there is no git
        return ""
    return done.stdout.strip()


def _machine() -> str:
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([processor(), f"{usable_cores()} cores", *gpus])


@cache
def processor() -> str:
    """The processor's model, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
