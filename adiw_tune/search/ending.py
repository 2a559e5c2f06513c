"""A search and MLflow: its events sent while it runs, and at its end what they came to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from adiw_tune.decide import Decision, hypervolume_curve
from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.importance import importance
from adiw_tune.search.picking import pick
from adiw_tune.search.winner import winning_run
from adiw_tune.tracking.outbox import Outbox
from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.retry import until_accepted

if TYPE_CHECKING:
    from adiw_tune.tracking.runs import SearchRuns

_PATIENCE_S = 120.0  # with a server that has gone away
_START_S = 30.0  # for MLflow's import, and its tables if there are none
_ALIAS = "champion"
_NOT_SETTINGS = {"name", "search_id", "tracking_uri", "folder"}


@contextmanager
def deliver(record: SearchRecord, console: Console) -> Iterator[None]:
    """While the body runs, and up to two minutes after it, send the events to MLflow."""
    outbox = Outbox(record.log.path, lambda: _open_runs(record), record.folder / "sent.json")
    outbox.wait_until_tried(_START_S)  # the first run measures the unit that all count in
    try:
        yield
    finally:
        console.print("sending the last events to MLflow ...", style="dim")
        delivered = outbox.close(_PATIENCE_S)
    if not delivered:
        raise UserError(_unsent(record, outbox.last_error))


def finish(record: SearchRecord, complete: bool) -> None:
    """Write to MLflow and to the record what the search came to, or that it was interrupted."""

    def tell() -> None:
        runs = _open_runs(record)
        if complete:
            _tell_outcome(record, runs, decision)
        else:
            runs.interrupt()

    decision = decided(record) if complete else None
    try:
        until_accepted(tell, _PATIENCE_S)
    except UserError as error:
        raise UserError(_unsent(record, str(error))) from error
    if complete:
        record.finish(decision.as_dict() if decision else None)


def decided(record: SearchRecord) -> Decision | None:
    """The pick by the search's policy; None if no trial came far enough for one."""
    try:
        return pick(record)
    except UserError:  # no trial has finished, or none that the policy allows
        return None


def _tell_outcome(record: SearchRecord, runs: "SearchRuns", decision: Decision | None) -> None:
    history = record.history()
    runs.finish(
        Outcome(
            trials=history.marked(),
            decision=decision.as_dict() if decision else None,
            reruns=history.reruns(),
            curves=history.curves(),
            importance=importance(history),
            hypervolume=hypervolume_curve(history.finished_in_order()).tolist(),
            winner_command=record.train_command(),
        )
    )
    if decision is not None:
        _register(record, runs, decision)


def _register(record: SearchRecord, runs: "SearchRuns", decision: Decision) -> None:
    """The winner as a registered model, whose newest version has the alias."""
    from adiw_tune.tracking.registry import model_name

    won = winning_run(record, record.history(), decision.trial)
    if won is None:  # no whole run, or its checkpoint is gone
        return
    trial, run = won
    rows = run.splits.select.example.numpy()
    runs.register(trial, run.network, rows, model_name(record.settings.name), _ALIAS)


def tell_reading(record: SearchRecord) -> None:
    """Send what the test split said, which the log has."""
    from adiw_tune.tracking.runs import SearchRuns

    settings = record.settings
    reading = record.history().readings[-1]

    def tell() -> None:
        if runs := SearchRuns.find(settings.tracking_uri, settings.search_id):
            runs.record([reading])

    until_accepted(tell, _PATIENCE_S)


def _open_runs(record: SearchRecord) -> "SearchRuns":
    from adiw_tune.tracking.runs import SearchRuns

    settings = record.settings
    parameters = settings.model_dump(exclude=_NOT_SETTINGS, exclude_none=True)
    return SearchRuns.open(settings.tracking_uri, settings.name, parameters, settings.search_id)


def _unsent(record: SearchRecord, why: str | None) -> str:
    return (
        f"MLflow did not take the last of the search ({why}), which is kept: "
        f"when it answers, run {record.resume_command()}"
    )
