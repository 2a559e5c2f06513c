"""A search from start to decision, and from a kill to its end: Ray runs, Optuna proposes."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from adiw_tune.addresses import LOCAL
from adiw_tune.errors import (
    EXIT_INTERRUPTED,
    EXIT_RAY_LOST,
    SearchInterrupted,
    UnsentError,
    UserError,
)
from adiw_tune.record.mirror import mirrored
from adiw_tune.record.provenance import provenance
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.ending import deliver, finish, is_sent, mark_sent, take_back
from adiw_tune.search.preflight import check_record
from adiw_tune.search.progress import show_progress
from adiw_tune.search.request import SearchRequest, checked_settings
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space


def start_search(request: SearchRequest, console: Console) -> SearchRecord:
    """Check everything that can be checked, then run the search to its decision.

    Whatever ends it before a trial ran leaves nothing of it, and its name free.

    Raises:
        UserError: something asked for is not right.
        UnsentError: it is over, but MLflow does not have all of it.
        SearchInterrupted: stopped by Ctrl-C.
    """
    settings = checked_settings(request, partial(_warn, console))
    record = SearchRecord.create(request.storage, settings, request.space)
    with record.claimed():
        try:
            _run(record, settings.address, console)
        except BaseException:  # also Ctrl-C
            if not record.history().has_run:
                take_back(record)
            raise
    return record


def resume_search(
    record: SearchRecord, address: str | None, console: Console, folder: Path | None = None
) -> None:
    """Go on with a search that was killed or interrupted; nothing finished runs again.

    Args:
        record: of the search. Of one that is over, what MLflow lacks is sent.
        address: of a running Ray cluster, or local to start Ray on this machine; None is the one
            that it was started on, if any.
        console: where progress is shown.
        folder: from which its space names files from now on; None is as before.

    Raises:
        UserError: it cannot be gone on with; nothing was written.
        UnsentError: it is over, but MLflow does not have all of it.
        SearchInterrupted: stopped by Ctrl-C.
    """
    if record.finished:
        if not is_sent(record):
            _send(record, console)
        return
    address = _checked_address(record, address)
    with record.claimed():
        check_record(record)
        if folder is not None:
            record.move(folder=folder)
        _run(record, address, console)


def extend_search(
    record: SearchRecord,
    trials: int | None,
    seeds: int | None,
    budget: str | None,
    address: str | None,
    console: Console,
) -> None:
    """Ask for more, as :meth:`SearchRecord.extend`, and go on as :func:`resume_search` does.

    Raises:
        UserError: what is asked for is not right, or the search is running; nothing was written.
        UnsentError: it is over, but MLflow does not have all of it.
        SearchInterrupted: stopped by Ctrl-C.
    """
    record.extended(trials, seeds, budget)
    address = _checked_address(record, address)
    with record.claimed():
        check_record(record)
        settings = record.settings
        check_space(
            SpaceFile(record.space_path, settings.seed, settings.files_from, settings.folds)
        )
        if not record.finished:
            left = f"search '{settings.name}' was not over: what was left of it runs as well"
            console.print(left, markup=False)
        record.extend(trials, seeds, budget)
        _run(record, address, console)


def _checked_address(record: SearchRecord, address: str | None) -> str | None:
    address = address or record.settings.address
    if address == LOCAL:
        return None
    if address is not None:
        from adiw_tune.search.on_ray.connection import devices_at

        devices_at(address)
    return address


def _run(record: SearchRecord, address: str | None, console: Console) -> None:
    from adiw_tune.search.on_ray import tuning

    def lost(what: str | None) -> None:
        how = f"go on by: {record.resume_command()}"
        if what is None:
            console.print(f"stopped; {how}", markup=False)
            os._exit(EXIT_INTERRUPTED)  # Tune would wait for Ray, which is gone
        if address is not None:
            how = f"once there is a cluster again, {how} --address HOST:PORT"
        elif record.settings.address is not None:
            how = f"{how} --address {LOCAL}"
        console.print(f"error: {what}; what was recorded is kept; {how}", markup=False)
        os._exit(EXIT_RAY_LOST)  # Ray would wait for it, and then end this process by itself

    def train() -> bool:
        with show_progress(record, console):
            return tuning.run_programme(record, address, partial(_warn, console), lost)

    record.history()  # a log that is damaged is told before anything is added to it
    record.log.append("session", **provenance())
    _tell(record, console, train)


def _send(record: SearchRecord, console: Console) -> None:
    """Send what MLflow lacks of a search that is over; the answer does not depend on it."""
    with record.claimed():
        try:
            check_record(record)
        except UserError as error:
            raise UnsentError(
                f"MLflow lacks the end of the search, which is kept: {error}"
            ) from error
        _tell(record, console, lambda: True)


def _tell(record: SearchRecord, console: Console, work: Callable[[], bool]) -> None:
    """While the work is done, and at its end, tell MLflow, and the copy of the record if any.

    Args:
        work: returns whether it came to its end.
    """
    trouble = None
    try:
        with mirrored(record):
            with deliver(record, console) as delivery:
                complete = work()
            trouble = finish(record, complete, delivery, partial(_warn, console))
    except UnsentError as error:  # the copy, made last
        mark_sent(record, False)
        trouble = f"{error}; when it can, run {record.resume_command()}"
    if complete and trouble:
        raise UnsentError(trouble)
    if trouble:
        console.print(f"warning: {trouble}", markup=False)
    if not complete:
        raise SearchInterrupted


def _warn(console: Console, line: str) -> None:
    console.print(f"warning: {line}", markup=False)
