"""A search and MLflow: its events sent while it runs, and at its end what they came to."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from torch import Tensor

from adiw_tune.decide import Decision, hypervolume_curve
from adiw_tune.errors import UnsentError, UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.importance import importance
from adiw_tune.search.picking import pick
from adiw_tune.search.suspects import suspects_at_end
from adiw_tune.search.winner import Warn, winning_run
from adiw_tune.tracking.check import without_secrets
from adiw_tune.tracking.outbox import Outbox
from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.retry import until_accepted
from adiw_tune.tracking.rows_page import SuspectRows
from adiw_tune.tracking.sent import Sent
from adiw_tune.training import TrainingRun

if TYPE_CHECKING:
    from adiw_tune.tracking.runs import SearchRuns

_LOG = logging.getLogger(__name__)
_PATIENCE_S = 120.0  # with a server that has gone away
_START_S = 30.0  # for MLflow's import, and its tables if there are none
_ALIAS = "champion"
_NOT_SETTINGS = {"name", "search_id", "tracking_uri", "folder", "place"}


@dataclass
class Delivery:
    """What became of the events that were to be sent.

    Args:
        trouble: why MLflow does not have all of them, in one line; None if it does.
    """

    trouble: str | None = None


@contextmanager
def deliver(record: SearchRecord, console: Console) -> Iterator[Delivery]:
    """While the body runs, and up to two minutes after it, send the events to MLflow."""
    delivery = Delivery()
    outbox = Outbox(record.log.after, lambda: _open_runs(record), _sent_path(record))
    outbox.wait_until_tried(_START_S)  # the first run measures the unit that all count in
    try:
        yield delivery
    finally:
        console.print("sending the last events to MLflow ...", style="dim")
        if not outbox.close(_PATIENCE_S):
            delivery.trouble = outbox.last_error or f"{outbox.pending} events are left"


def finish(record: SearchRecord, complete: bool, delivery: Delivery, warn: Warn) -> str | None:
    """Write to the record and to MLflow what the search came to, or that it was interrupted.

    The record has the decision whatever MLflow does: what MLflow lacks is sent later.

    Args:
        record: of the search.
        complete: whether it came to its end.
        delivery: of its events.
        warn: called with a line of what stands in the way of no decision.

    Returns:
        Why MLflow does not have all of it, and how to send the rest, in one line; None if it does.
    """
    decision = decided(record) if complete else None
    if complete:
        mark_sent(record, False)
        record.finish(decision.as_dict() if decision else None)
    won = _won(record, decision, warn) if decision else None
    suspects = suspects_at_end(record, won and won[1], warn) if decision else None

    def tell() -> None:
        runs = _open_runs(record)
        if complete:
            _tell_outcome(record, runs, decision, suspects)
            if won is not None:
                _register(record, runs, *won)
        else:
            runs.interrupt()

    trouble = delivery.trouble
    if trouble is None:
        trouble = _trouble(lambda: until_accepted(tell, _PATIENCE_S))
    if trouble is not None:
        return _unsent(record, trouble)
    if complete:
        mark_sent(record, True)
    return None


def is_sent(record: SearchRecord) -> bool:
    """Whether MLflow has all of a search that is over."""
    return Sent.read(_sent_path(record)).outcome


def mark_sent(record: SearchRecord, outcome: bool) -> None:
    """Write down whether it has."""
    path = _sent_path(record)
    replace(Sent.read(path), outcome=outcome).write(path)


def _sent_path(record: SearchRecord) -> Path:
    return record.folder / "sent.json"


def _trouble(action: Callable[[], None]) -> str | None:
    """What kept an action from being done, in one line; the answer does not depend on it."""
    try:
        action()
    except UserError as error:
        return str(error)
    except Exception as error:  # of MLflow's, or our own mistake in a figure or a page
        _LOG.debug("", exc_info=error)
        return f"{type(error).__name__}: {without_secrets(error)}"
    return None


def take_back(record: SearchRecord) -> None:
    """Remove a search of which no trial ran, so that its name is free; MLflow's run, if it can."""
    from adiw_tune.tracking.runs import SearchRuns

    settings = record.settings
    with suppress(Exception):  # whatever MLflow raises: that may be what ended the search
        if runs := SearchRuns.find(settings.tracking_uri, settings.search_id):
            runs.delete()
    record.remove()


def decided(record: SearchRecord) -> Decision | None:
    """The pick by the search's policy; None if no trial came far enough for one."""
    try:
        return pick(record)
    except UserError:  # no trial has finished, or none that the policy allows
        return None


def _tell_outcome(
    record: SearchRecord,
    runs: "SearchRuns",
    decision: Decision | None,
    suspects: SuspectRows | None,
) -> None:
    history = record.history()
    runs.finish(
        Outcome(
            trials=history.marked(),
            decision=decision.as_dict() if decision else None,
            reruns=history.reruns(),
            curves=history.curves(),
            importance=importance(history),
            skipped=len(history.skipped),
            hypervolume=hypervolume_curve(history.finished_in_order(), history.metric).tolist(),
            winner_command=record.train_command(),
            metric=history.metric,
            suspects=suspects,
        )
    )


def _won(record: SearchRecord, decision: Decision, warn: Warn) -> tuple[str, TrainingRun] | None:
    """The winner's run at its end; None, and a line, if it cannot be had. It holds up no decision.

    None without a line if there is no whole run of it.
    """
    try:
        return winning_run(record, record.history(), decision.trial, warn)
    except UserError as error:  # such as data that is gone
        warn(f"the winner's network is not registered: {error}")
        return None


def _register(record: SearchRecord, runs: "SearchRuns", trial: str, run: TrainingRun) -> None:
    """The winner as a registered model, whose newest version has the alias."""
    from adiw_tune.tracking.registry import model_name

    example = run.splits.select.example
    rows = example.numpy() if isinstance(example, Tensor) else None
    runs.register(trial, run.network, rows, model_name(record.settings.name), _ALIAS)


def tell_reading(record: SearchRecord) -> None:
    """Send what the test split said, which the log has.

    Raises:
        UnsentError: MLflow did not take it.
    """
    from adiw_tune.tracking.runs import SearchRuns

    settings = record.settings
    reading = record.history().readings[-1]

    def tell() -> None:
        if runs := SearchRuns.find(settings.tracking_uri, settings.search_id):
            runs.record([reading])

    before = is_sent(record)
    mark_sent(record, False)
    if trouble := _trouble(lambda: until_accepted(tell, _PATIENCE_S)):
        raise UnsentError(_unsent(record, trouble))
    mark_sent(record, before)


def _open_runs(record: SearchRecord) -> "SearchRuns":
    from adiw_tune.tracking.runs import SearchRuns

    settings = record.settings
    parameters = settings.model_dump(exclude=_NOT_SETTINGS, exclude_none=True)
    place = (settings.tracking_uri, settings.name, parameters, settings.search_id)
    return SearchRuns.open(*place, settings.main_metric)


def _unsent(record: SearchRecord, why: str) -> str:
    return (
        f"MLflow lacks the end of the search ({why}), which is kept in its record: "
        f"send it later with: {record.resume_command()}"
    )
