"""How many cores this process may use: fewer than the machine has in a container or a job."""

import os
from collections.abc import Iterator
from pathlib import Path

_MOUNTED = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The smaller of what this process may run on and of the time it is granted; at least 1.

    The first is its affinity, as Slurm, ``taskset`` and ``docker --cpuset-cpus`` set it. The second
    is the quota of its control groups, as of a pod's limit or ``docker --cpus``, rounded down.
    """
    return max(1, min(_affinity(), int(min(_quotas(_MOUNTED, _OWN), default=2**31))))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has none


def _quotas(mounted: Path, own: Path) -> Iterator[float]:
    """Cores that the process's control group grants, and each group above it.

    Args:
        mounted: where control groups are.
        own: lines ID:CONTROLLERS:PATH. Of version 2 that names no controllers, and in a container
            PATH may be one of the host's, which is not mounted there.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if not controllers or "cpu" in controllers.split(","):
            root = mounted / "cpu" if controllers else mounted
            group = root / path.lstrip("/")
            above = (parent for parent in group.parents if parent.is_relative_to(root))
            yield from (quota for one in (group, *above) if (quota := _quota(one)) is not None)


def _quota(group: Path) -> float | None:
    """Of one control group, in cores; None: it has none."""
    for files in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = map(float, " ".join((group / f).read_text() for f in files).split())
        except (OSError, ValueError):  # there is no such file, or it says max
            continue
        return quota / period if quota > 0 and period > 0 else None
    return None
