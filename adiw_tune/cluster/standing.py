"""How far a submitted search has come: by its record where that is in reach, else by its log."""

from collections import Counter
from datetime import datetime
from pathlib import Path

from adiw_tune.cluster.jobs import Job
from adiw_tune.record.record import SearchRecord

_LAST_LINES = 5
_SECONDS_BEFORE = 5.0  # by which clocks may differ


def standing(job: Job, name: str, storage: str) -> str:
    """The state of the job, and lines on the search.

    Args:
        job: the last one of the search.
        name: of the search.
        storage: the directory of its searches on the cluster, which may be this machine's too.
    """
    details = job.details()
    since = datetime.fromtimestamp(details.start_time / 1000)
    lines = [f"{name}: {details.status} (job '{job.submission}' of {since:%Y-%m-%d %H:%M})"]
    record = _record(Path(storage).expanduser() / name, details.start_time / 1000)
    if record is not None:
        return "\n".join([*lines, *_progress(record)])
    return "\n".join([*lines, *(f"  {line}" for line in job.log().splitlines()[-_LAST_LINES:])])


def _record(folder: Path, since: float) -> SearchRecord | None:
    """The record of this job, not of another search of that name on this machine."""
    if not (folder / "search.json").is_file():
        return None
    record = SearchRecord.open(folder.parent, folder.name)
    sessions = (event["time"] for event in record.log if event["event"] == "session")
    last = max(sessions, default=0.0)
    return record if last >= since - _SECONDS_BEFORE else None


def _progress(record: SearchRecord) -> list[str]:
    history = record.history()
    states = Counter(run.status for run in history.of_kind("search"))
    ended = sum(states.values()) - states["running"]
    counts = (f"{states[state]} {state}" for state in ("finished", "pruned", "stopped", "failed"))
    lines = [
        f"  {ended} of {record.settings.trials} trials done: {', '.join(counts)}; "
        f"{len(history.unfinished)} runs not ended"
    ]
    if history.in_finale:
        lines.append("  it is in its finale, or through it")
    return lines
