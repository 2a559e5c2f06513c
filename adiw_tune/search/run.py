"""A search from start to decision, and from a kill to its end: Ray runs, Optuna proposes."""

import os
import uuid
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from rich.console import Console

from adiw_tune.decide import MIN_SEEDS, parse_policy
from adiw_tune.errors import SearchInterrupted, UserError
from adiw_tune.record.provenance import provenance
from adiw_tune.record.record import SearchRecord, SearchSettings, check_name_is_free
from adiw_tune.search.ending import deliver, finish
from adiw_tune.search.progress import show_progress
from adiw_tune.search.space import SpaceFile
from adiw_tune.tracking.check import check_tracking_uri
from adiw_tune.training import TrialConfig, check_own_files, load_splits


@dataclass(frozen=True)
class SearchRequest:
    """What a user asks for.

    Args:
        space: a Python file with ``space(trial)``.
        name: of the search; its directory in ``storage``.
        trials: how many trials to run, at least 1.
        seed: of the trials and of the sampler.
        policy: which trade-off the pick is to make, as :func:`adiw_tune.decide.parse_policy`.
        seeds: over how many each divergence's pick is run again, at most, at least 3; 0 for none.
        early_stopping: whether trials are cut that fall behind.
        patience: finished trials without growth of the hypervolume that end the search; None:
            none do.
        budget: as :meth:`adiw_tune.record.budget.Budget.parse` reads it; None: no limit.
        price: of one device for one hour.
        cross_fit: folds that the clean rows are cut into; None: they are not.
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
    policy: str
    seeds: int
    early_stopping: bool
    patience: int | None
    budget: str | None
    price: float | None
    cross_fit: int | None
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
    settings = _settings(request)
    _check(request, settings)
    record = SearchRecord.create(request.storage, settings, request.space)
    with record.claimed():
        _run(record, console)
    return record


def resume_search(record: SearchRecord, console: Console) -> None:
    """Go on with a search that was killed or interrupted; nothing finished runs again."""
    check_tracking_uri(record.settings.tracking_uri)
    with record.claimed():
        _run(record, console)


def extend_search(record: SearchRecord, trials: int, budget: str | None, console: Console) -> None:
    """Ask for more, as :meth:`SearchRecord.extend`, and go on with it.

    Raises:
        UserError: what is asked for is not right, or the search is running; nothing was written.
        SearchInterrupted: stopped by Ctrl-C.
    """
    check_tracking_uri(record.settings.tracking_uri)
    with record.claimed():
        record.extend(trials, budget)
        _run(record, console)


def _settings(request: SearchRequest) -> SearchSettings:
    gpus = torch.cuda.device_count()
    concurrency = runs_at_once(request.concurrency)
    return SearchSettings(
        name=request.name,
        search_id=uuid.uuid4().hex,
        trials=request.trials,
        seed=request.seed,
        concurrency=concurrency,
        gpus_per_trial=min(1.0, gpus / concurrency),
        policy=request.policy,
        seeds=request.seeds,
        early_stopping=request.early_stopping,
        patience=request.patience,
        budget=request.budget,
        price=request.price,
        folder=Path.cwd(),
        folds=request.cross_fit or 1,
        tracking_uri=request.tracking_uri,
        data_dir=request.data_dir.absolute() if request.data_dir else None,
        address=request.address,
        version=version("adiw-tune"),
    )


def runs_at_once(asked: int | None) -> int:
    """As many as asked for; else one per GPU, or without a GPU one per core but one."""
    return asked or torch.cuda.device_count() or max(1, (os.cpu_count() or 1) - 1)


def _check(request: SearchRequest, settings: SearchSettings) -> None:
    check_name_is_free(request.storage, request.name)
    asked = (request.trials, request.seeds, request.cross_fit, request.concurrency)
    check_options(*asked, request.patience)
    parse_policy(request.policy)
    _ = settings.spending  # refuses a budget that it cannot read
    space = SpaceFile(request.space, request.seed, settings.folder, settings.folds)
    check_data(space.check(), request.data_dir)
    if urlsplit(request.tracking_uri).password:
        raise UserError(
            "the tracking URI holds a password, which would end up in records: set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    check_tracking_uri(request.tracking_uri)
    if request.address is not None:
        from adiw_tune.search.on_ray.tuning import check_cluster

        check_cluster(request.address)


def check_options(
    trials: int,
    seeds: int,
    cross_fit: int | None,
    concurrency: int | None,
    patience: int | None = None,
) -> None:
    """Refuse numbers, as of :class:`SearchRequest`, that are too small to mean anything."""
    for option, value, least in (
        ("--trials", trials, 1),
        ("--concurrency", concurrency, 1),
        ("--seeds", seeds, 0),
        ("--patience", patience, 1),
        ("--cross-fit", cross_fit, 2),
    ):
        if value is not None and value < least:
            raise UserError(f"{option} must be at least {least}; got {value}")
    if 0 < seeds < MIN_SEEDS:
        raise UserError(
            f"--seeds must be 0 or at least {MIN_SEEDS}, as fewer say nothing of their spread; "
            f"got {seeds}"
        )


def check_data(configs: list[TrialConfig], data_dir: Path | None) -> None:
    """Load each data set that the space can ask for: what is missing shows before any trial."""
    alike: dict[tuple[Any, ...], dict[tuple[Any, ...], TrialConfig]] = defaultdict(dict)
    for config in configs:
        data = (
            config.task,
            config.shift,
            config.reference_size,
            config.select_size,
            config.folds,
        )
        alike[data][config.network, config.divergence, config.representation] = config
    for of_the_same_data in alike.values():
        splits = load_splits(next(iter(of_the_same_data.values())), data_dir)
        for config in of_the_same_data.values():
            check_own_files(config, splits)


def _run(record: SearchRecord, console: Console) -> None:
    from adiw_tune.search.on_ray import tuning

    record.log.append("session", **provenance())
    with deliver(record, console), show_progress(record, console):
        complete = tuning.run_programme(record)
    finish(record, complete)
    if not complete:
        raise SearchInterrupted
