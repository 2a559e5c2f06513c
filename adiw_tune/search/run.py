"""A search from start to decision, and from a kill to its end: Ray runs, Optuna proposes."""

import os
import uuid
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch
from rich.console import Console

from adiw_tune.decide import DEFAULT_POLICY, decide, mark_front, pareto_front, parse_policy
from adiw_tune.errors import SearchInterrupted, UserError
from adiw_tune.search.progress import show_progress
from adiw_tune.search.record import (
    SearchRecord,
    SearchSettings,
    check_name_is_free,
    with_settings,
)
from adiw_tune.search.space import SpaceFile
from adiw_tune.tracking.check import check_tracking_uri, one_line
from adiw_tune.tracking.outbox import Outbox
from adiw_tune.training import TrialConfig, check_own_files, load_splits

if TYPE_CHECKING:
    from adiw_tune.tracking.runs import SearchRuns

_SECONDS_FOR_LAST_EVENTS = 60.0


@dataclass(frozen=True)
class SearchRequest:
    """What a user asks for.

    Args:
        space: a Python file with ``space(trial)``.
        name: of the search; its directory in ``storage``.
        trials: how many trials to run, at least 1.
        seed: of the trials and of the sampler.
        concurrency: trials at once; None is one per GPU, or without a GPU all cores but one,
            which is left to the driver.
        storage: the directory of all searches.
        tracking_uri: MLflow's, without credentials.
        data_dir: where tasks look for data first.
        address: of a running Ray cluster; None starts Ray on this machine.
    """

    space: Path
    name: str
    trials: int
    seed: int
    concurrency: int | None
    storage: Path
    tracking_uri: str
    data_dir: Path | None
    address: str | None


def start_search(request: SearchRequest, console: Console) -> SearchRecord:
    """Check everything that can be checked, then run the search to its decision.

    Raises:
        UserError: something asked for is not right; nothing was written.
        SearchInterrupted: stopped by Ctrl-C.
    """
    _check(request)
    gpus = torch.cuda.device_count()
    concurrency = request.concurrency or gpus or max(1, (os.cpu_count() or 1) - 1)
    settings = SearchSettings(
        name=request.name,
        search_id=uuid.uuid4().hex,
        trials=request.trials,
        seed=request.seed,
        concurrency=concurrency,
        gpus_per_trial=min(1.0, gpus / concurrency),
        tracking_uri=request.tracking_uri,
        data_dir=request.data_dir.absolute() if request.data_dir else None,
        address=request.address,
        version=version("adiw-tune"),
    )
    record = SearchRecord.create(request.storage, settings, request.space)
    _run(record, console)
    return record


def resume_search(record: SearchRecord, console: Console) -> None:
    """Go on with a search that was killed or interrupted; what has finished is not run again."""
    check_tracking_uri(record.settings.tracking_uri)
    _run(record, console)


def _check(request: SearchRequest) -> None:
    check_name_is_free(request.storage, request.name)
    for option, value in (("--trials", request.trials), ("--concurrency", request.concurrency)):
        if value is not None and value < 1:
            raise UserError(f"{option} must be at least 1; got {value}")
    _check_data(SpaceFile(request.space, request.seed).check(), request.data_dir)
    if urlsplit(request.tracking_uri).password:
        raise UserError(
            "the tracking URI holds a password, which would end up in records: set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    check_tracking_uri(request.tracking_uri)
    if request.address is not None:
        from adiw_tune.search.tuning import check_cluster

        check_cluster(request.address)


def _check_data(configs: list[TrialConfig], data_dir: Path | None) -> None:
    """Load each data set that the space can ask for: what is missing shows before any trial."""
    alike: dict[tuple[Any, ...], dict[tuple[Any, ...], TrialConfig]] = defaultdict(dict)
    for config in configs:
        data = (config.task, config.shift, config.reference_size, config.select_size)
        alike[data][config.network, config.divergence, config.representation] = config
    for of_the_same_data in alike.values():
        splits = load_splits(next(iter(of_the_same_data.values())), data_dir)
        for config in of_the_same_data.values():
            check_own_files(config, splits)


def _run(record: SearchRecord, console: Console) -> None:
    from mlflow.exceptions import MlflowException

    from adiw_tune.search import tuning
    from adiw_tune.tracking.runs import SearchRuns

    def open_runs() -> SearchRuns:
        settings = record.settings
        parameters = settings.model_dump(
            exclude={"name", "search_id", "tracking_uri"}, exclude_none=True
        )
        return SearchRuns.open(settings.tracking_uri, settings.name, parameters, settings.search_id)

    outbox = Outbox(record.events.path, open_runs, record.folder / "sent.json")
    try:
        with show_progress(record, console):
            complete = tuning.run_trials(record)
        if complete:
            _close_lost_trials(record)
    finally:
        console.print("sending the last events to MLflow ...", style="dim")
        delivered = outbox.close(_SECONDS_FOR_LAST_EVENTS)
    if not delivered:
        raise UserError(_unsent(record, outbox.last_error))
    try:
        if complete:
            _finish(record, open_runs())
        else:
            open_runs().interrupt()
    except MlflowException as error:
        raise UserError(_unsent(record, one_line(error))) from error
    if not complete:
        raise SearchInterrupted


def _unsent(record: SearchRecord, why: str | None) -> str:
    return (
        f"MLflow did not take the last of the search ({why}), which is kept: "
        f"when it answers, run {record.resume_command()}"
    )


def _close_lost_trials(record: SearchRecord) -> None:
    """Trials that began so shortly before a kill that Ray kept no trace of them."""
    trials = record.trials()
    for trial in trials.loc[trials["status"] == "running", "trial"]:
        record.events.append(
            {
                "event": "end",
                "trial": trial,
                "status": "stopped",
                "reason": "the search was killed before this trial was recorded; another ran",
                "accuracy": None,
                "train_seconds": None,
                "time": time(),
            }
        )


def _finish(record: SearchRecord, runs: "SearchRuns") -> None:
    trials = record.trials()
    decision = None
    if (trials["status"] == "finished").any():
        decision = decide(trials, parse_policy(DEFAULT_POLICY)).as_dict()
    table = mark_front(with_settings(trials))
    runs.finish(pareto_front(table), decision, table, record.train_command())
    record.finish(decision)
