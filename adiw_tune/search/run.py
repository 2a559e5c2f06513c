"""A search from start to decision, and from a kill to its end: Ray runs, Optuna proposes."""

import os
from pathlib import Path

from rich.console import Console

from adiw_tune.errors import SearchInterrupted
from adiw_tune.record.mirror import mirrored
from adiw_tune.record.provenance import provenance
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.ending import deliver, finish
from adiw_tune.search.progress import show_progress
from adiw_tune.search.request import SearchRequest, checked_settings
from adiw_tune.tracking.check import check_tracking_uri

EXIT_HEAD_LOST = 1
LOCAL = "local"


def start_search(request: SearchRequest, console: Console) -> SearchRecord:
    """Check everything that can be checked, then run the search to its decision.

    Raises:
        UserError: something asked for is not right; nothing was written.
        SearchInterrupted: stopped by Ctrl-C.
    """
    settings = checked_settings(request)
    record = SearchRecord.create(request.storage, settings, request.space)
    with record.claimed():
        _run(record, settings.address, console)
    return record


def resume_search(
    record: SearchRecord, address: str | None, console: Console, folder: Path | None = None
) -> None:
    """Go on with a search that was killed or interrupted; nothing finished runs again.

    Args:
        record: of the search.
        address: of a running Ray cluster, or local to start Ray on this machine; None is the one
            that it was started on, if any.
        console: where progress is shown.
        folder: from which its space names files from now on; None is as before.
    """
    address = _checked_address(record, address)
    with record.claimed():
        if folder is not None:
            record.move_files(folder)
        _run(record, address, console)


def extend_search(
    record: SearchRecord, trials: int, budget: str | None, address: str | None, console: Console
) -> None:
    """Ask for more, as :meth:`SearchRecord.extend`, and go on as :func:`resume_search` does.

    Raises:
        UserError: what is asked for is not right, or the search is running; nothing was written.
        SearchInterrupted: stopped by Ctrl-C.
    """
    address = _checked_address(record, address)
    with record.claimed():
        record.extend(trials, budget)
        _run(record, address, console)


def _checked_address(record: SearchRecord, address: str | None) -> str | None:
    check_tracking_uri(record.settings.tracking_uri)
    address = address or record.settings.address
    if address == LOCAL:
        return None
    if address is not None:
        from adiw_tune.search.on_ray.connection import devices_at

        devices_at(address)
    return address


def _run(record: SearchRecord, address: str | None, console: Console) -> None:
    from adiw_tune.search.on_ray import tuning

    def warn(line: str) -> None:
        console.print(f"warning: {line}", markup=False)

    def head_lost() -> None:
        console.print(
            f"error: Ray's head at '{address}' is gone; what was recorded is kept. Once there is a "
            f"cluster again, go on by: {record.resume_command()} --address HOST:PORT",
            markup=False,
        )
        os._exit(EXIT_HEAD_LOST)  # Ray would wait for it, and then end this process by itself

    record.log.append("session", **provenance())
    with mirrored(record):
        with deliver(record, console), show_progress(record, console):
            complete = tuning.run_programme(record, address, warn, head_lost)
        finish(record, complete)
    if not complete:
        raise SearchInterrupted
