"""The one reading of the test split that a search is allowed."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from adiw_tune.errors import UserError
from adiw_tune.metrics import interval_over_rows, measure
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.picking import pick, picked_config
from adiw_tune.search.preflight import check_record
from adiw_tune.search.winner import Warn, winning_run
from adiw_tune.tasks import find_task, main_metric
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.training.saving import check_output, save_network


@dataclass(frozen=True)
class Reading:
    """What the test split said of the winner.

    Args:
        divergence, trial: the winner.
        metric: what the search chose by.
        value: of it, on the test split.
        interval: 95% interval of ``value`` over the test rows, see
            :func:`adiw_tune.metrics.interval_over_rows`; None if most resamples have no value.
        resamples, left_out: how many were drawn of the test rows, 0 if none; and how many of these
            have no value.
        metrics: all that apply, by name; None where the split has no value.
        rows: of the test split.
        select: the winner's value as the search gives it, to compare.
        reading: 1 for the first; a later one is no longer an honest estimate if anything was
            changed in the light of an earlier one.
    """

    divergence: str
    trial: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    resamples: int
    left_out: int
    metrics: dict[str, float | None]
    rows: int
    select: float
    reading: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def finalize(
    record: SearchRecord, again: bool, output: Path | None, warn: Warn, tell: Warn
) -> Reading:
    """Read the test split with the winner's network, and write down that it was read.

    The network is the winner's as it was kept, or where that is gone or damaged, trained now. The
    reading is recorded after its value is computed and before it is shown: an earlier failure or
    stop uses up no reading.

    Args:
        record: of a search that is over.
        again: read it although that has been done.
        output: where to save the network's state_dict; None for nowhere.
        warn: called with a line of what stands in the way of no reading.
        tell: called with a line of progress, if it takes long.

    Raises:
        UserError: the search is not over or runs again, MLflow would not take the reading, or the
            split has been read, or is being read, and ``again`` is not given.
    """
    if output is not None:
        check_output(output)
    with record.claimed():
        return _read(record, again, output, warn, tell)


def _read(
    record: SearchRecord, again: bool, output: Path | None, warn: Warn, tell: Warn
) -> Reading:
    history, metric = record.history(), record.settings.main_metric
    if not record.finished:
        raise UserError(
            f"search '{record.settings.name}' is not over: {record.resume_command()} first"
        )
    if history.readings and not again:
        first = history.readings[0]
        when = datetime.fromtimestamp(first["time"]).strftime("%Y-%m-%d %H:%M")
        was = metric.text(first["metrics"].get(metric.name))
        raise UserError(
            f"the test split of '{record.settings.name}' was read on {when}: {metric.name} "
            f"{was}; --again reads it once more, and is recorded"
        )
    check_record(record)
    won = pick(record)
    kept = winning_run(record, history, won.trial, warn)
    run = kept[1] if kept else _trained(record)
    task, rows = find_task(run.config.task), len(run.splits.test)
    computed = main_metric(metric.name, task, run.splits)
    predictions = run.predictions(run.splits.test)
    metrics = measure(predictions, task.own_metric)
    value = metrics.get(metric.name)
    if value is None:
        raise UserError(f"metric '{metric.name}' has no value on the {rows} test rows")
    interval = interval_over_rows(computed, predictions, tell)
    if output is not None:
        save_network(run.network, output)
    record.log.append("test_read", trial=won.trial, metrics=metrics, rows=rows, again=again)
    return Reading(
        divergence=won.divergence,
        trial=won.trial,
        metric=metric.name,
        value=value,
        interval=interval.ends,
        resamples=interval.resamples,
        left_out=interval.left_out,
        metrics=metrics,
        rows=rows,
        select=won.value,
        reading=len(history.readings) + 1,
    )


def _trained(record: SearchRecord) -> TrainingRun:
    """The winner trained now, where no checkpoint of it is left."""
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = TrialConfig.from_mapping(picked_config(record), record.settings.files_from)
    run = TrainingRun(config, device, record.settings.data_dir)
    while not run.finished:
        run.run_epoch()
    return run
