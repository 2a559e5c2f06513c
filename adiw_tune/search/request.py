"""What a user asks of a search, refused where it is not right before anything is written."""

import math
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from adiw_tune.cores import usable_cores
from adiw_tune.decide import MIN_SEEDS, default_policy, parse_policy
from adiw_tune.errors import UserError
from adiw_tune.metrics import OWN, Metric, find_metric
from adiw_tune.ranges import check_positive, check_whole
from adiw_tune.record.addresses import check_no_secrets
from adiw_tune.record.budget import Budget
from adiw_tune.record.checkpoints import CheckpointStore, absolute
from adiw_tune.record.record import (
    MOST_SEEDS,
    MOST_TRIALS,
    check_name,
    check_name_is_free,
)
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.tasks import check_has_metric, find_task, main_metric
from adiw_tune.tracking.check import absolute_uri, check_tracking_form
from adiw_tune.tracking.preflight import check_recordable
from adiw_tune.training import TrialConfig, check_own_files, check_seeded, load_splits

_MOST_SEED = 2**53  # that JSON keeps exactly; a trial's own, which is at most 2^62, has room above
_MOST_AT_ONCE = 100_000  # more than any cluster has
_LEAST_SHARE = 1e-4  # of a GPU: Ray counts in these


@dataclass(frozen=True)
class SearchRequest:
    """What a user asks for.

    Args:
        space: a Python file with ``space(trial)``.
        name: of the search; its directory in ``storage``.
        trials: how many trials to run, in [1, 10^6].
        seed: of the trials and of the sampler, in [0, 2^53].
        metric: what to choose by, as :func:`adiw_tune.tasks.main_metric`; None for what the
            tasks say, or the default for their targets.
        policy: which trade-off the pick is to make, as :func:`adiw_tune.decide.parse_policy`; None
            for :func:`adiw_tune.decide.default_policy`.
        seeds: over how many each divergence's and each baseline's pick is run again, at most, in
            [3, 1000]; 0 for none.
        baselines: whether plain training is searched, too, to know whether weighting is worth it:
            erm, pooled and clean-only.
        early_stopping: whether trials are cut that fall behind.
        patience: finished trials without growth of the hypervolume that end the search; None:
            none do.
        budget: as :meth:`adiw_tune.record.budget.Budget.parse` reads it; None: no limit.
        price: of one device for one hour; only for a budget in $.
        cross_fit: folds that the clean rows are cut into; None: they are not.
        concurrency: trials at once, at most; None is as many as the machines have room for, and on
            this machine without a GPU all cores but one, which is left to the driver.
        cpus_per_trial: cores of each worker of a trial, at least 1.
        gpus_per_trial: a share of one GPU, or how many; None is by the memory that trials were
            seen to need, where there are GPUs.
        workers_per_trial: that share each mini-batch, each with those cores and GPUs; at least 1.
        storage: the directory of all searches.
        tracking_uri: MLflow's, without credentials; "" where the cluster's own is not known here.
        data_dir: where tasks look for data first.
        checkpoints: directory or URL (s3://bucket/path ...) where runs keep their checkpoints,
            which every node reaches; None is the search's own directory.
        address: of a running Ray cluster; None starts Ray on this machine.
    """

    space: Path
    name: str
    trials: int
    seed: int
    metric: str | None
    policy: str | None
    seeds: int
    baselines: bool
    early_stopping: bool
    patience: int | None
    budget: str | None
    price: float | None
    cross_fit: int | None
    concurrency: int | None
    cpus_per_trial: int
    gpus_per_trial: float | None
    workers_per_trial: int
    storage: Path
    tracking_uri: str
    data_dir: Path | None
    checkpoints: str | None
    address: str | None


def checked_settings(request: SearchRequest, warn: Callable[[str], object]) -> SearchSettings:
    """What fixes the search that is asked for. ``warn`` is told what is probably a mistake.

    Raises:
        UserError: something asked for is not right.
    """
    metric = check_request(request, warn)
    settings = _settings(request, metric, _devices(request))
    check_checkpoints(settings)
    return settings


def _devices(request: SearchRequest) -> int:
    """What a budget counts: GPUs, or machines where there are none.

    Those that there are now, or that trials at once will hold where a cluster grows by itself.
    """
    if request.address is None:
        return max(1, torch.cuda.device_count())
    from adiw_tune.search.on_ray.connection import devices_at

    held = (request.concurrency or 0) * (request.gpus_per_trial or 0) * request.workers_per_trial
    return max(devices_at(request.address), math.ceil(held))


def _settings(request: SearchRequest, metric: Metric, devices: int) -> SearchSettings:
    here = request.address is None
    no_gpu = here and not torch.cuda.device_count()
    return SearchSettings(
        name=request.name,
        search_id=uuid.uuid4().hex,
        trials=request.trials,
        seed=request.seed,
        concurrency=_at_once(request) if no_gpu else request.concurrency,
        cpus_per_trial=request.cpus_per_trial,
        gpus_per_trial=request.gpus_per_trial,
        workers_per_trial=request.workers_per_trial,
        devices=devices,
        policy=request.policy or default_policy(metric),
        seeds=request.seeds,
        early_stopping=request.early_stopping,
        patience=request.patience,
        budget=request.budget,
        price=request.price,
        folder=Path.cwd(),
        folds=request.cross_fit or 1,
        tracking_uri=absolute_uri(request.tracking_uri),
        data_dir=request.data_dir.absolute() if request.data_dir else None,
        checkpoints=request.checkpoints and absolute(request.checkpoints),
        address=request.address,
        version=version("adiw-tune"),
        metric=metric.name,
        greater_is_better=metric.greater_is_better,
        baselines=request.baselines,
    )


def _at_once(request: SearchRequest) -> int:
    if request.concurrency is not None:
        return request.concurrency
    return max(1, runs_at_once(None) // (request.workers_per_trial * request.cpus_per_trial))


def runs_at_once(asked: int | None) -> int:
    """As many as asked for; else one per GPU, or without a GPU one per core but one."""
    return asked or torch.cuda.device_count() or max(1, usable_cores() - 1)


def check_request(request: SearchRequest, warn: Callable[[str], object]) -> Metric:
    """Refuse what can be refused without a cluster; nothing is written.

    Returns the metric that the search chooses by.
    """
    check_name_is_free(request.storage, request.name)
    remarks, metric = check_data(check_asked(request), request.data_dir, request.metric)
    if request.policy is not None:
        parse_policy(request.policy, metric)
    for remark in remarks:
        warn(remark)
    check_recordable(request.tracking_uri)
    return metric


def check_asked(request: SearchRequest) -> list[TrialConfig]:
    """Refuse what is wrong wherever it is to run; what was drawn from the space."""
    check_without_space(request)
    space = SpaceFile(request.space, request.seed, Path.cwd(), request.cross_fit or 1)
    return check_space(space)


def check_without_space(request: SearchRequest) -> None:
    """Refuse options that are wrong whatever the space, the data and the machines are."""
    check_name(request.name)
    asked = (request.trials, request.seeds, request.cross_fit, request.concurrency)
    check_options(request.seed, *asked, request.patience)
    _check_resources(request)
    # Of what the tasks may say the range is not known, no more than of a task's own.
    known = find_metric(OWN if request.metric is None else request.metric)
    if request.policy is not None:
        parse_policy(request.policy, known)
    if request.budget is not None:
        Budget.parse(request.budget, request.price, 1)
    if request.price is not None and not (request.budget or "").startswith("$"):
        raise UserError("--price is for a budget in $: give one such as --budget '$5', or no price")
    check_no_secrets(request.tracking_uri, request.checkpoints)
    if request.tracking_uri:
        check_tracking_form(request.tracking_uri)


def _check_resources(request: SearchRequest) -> None:
    for option, value in (
        ("--cpus-per-trial", request.cpus_per_trial),
        ("--workers-per-trial", request.workers_per_trial),
    ):
        check_whole(option, value, 1, _MOST_AT_ONCE)
    cores = request.cpus_per_trial * request.workers_per_trial
    here = usable_cores()
    if request.address is None and cores > here:
        raise UserError(
            f"a trial would take {cores} cores, but this process may use {here}: choose fewer "
            "--workers-per-trial or --cpus-per-trial"
        )
    gpus = request.gpus_per_trial
    if gpus is not None and not (0 <= gpus < 1 or (gpus >= 1 and float(gpus).is_integer())):
        raise UserError(
            f"--gpus-per-trial must be a share of one such as 0.25, or a whole number; got {gpus}"
        )
    if gpus:
        check_positive("--gpus-per-trial", gpus, _LEAST_SHARE, _MOST_AT_ONCE)
    there = torch.cuda.device_count()
    taken = min(there, 1) if gpus is None else gpus
    if request.workers_per_trial > 1:
        taken = math.ceil(taken) * request.workers_per_trial  # one each, or more
    if request.address is None and taken > there:
        raise UserError(
            f"a trial would take {taken:g} GPU, of which this machine has {there} that torch can "
            "use: choose fewer --gpus-per-trial or --workers-per-trial"
        )


def check_checkpoints(settings: SearchSettings) -> None:
    """Refuse a place for checkpoints that cannot be reached, or where the name is taken."""
    if settings.checkpoints is None:
        return
    store = CheckpointStore(settings.checkpoints, settings.name)
    if store.sessions():
        raise UserError(
            f"'{settings.checkpoints}' holds checkpoints of a search '{settings.name}' already: "
            "choose another --name or --checkpoints"
        )
    store.check_writable()


def check_options(
    seed: int,
    trials: int,
    seeds: int,
    cross_fit: int | None,
    concurrency: int | None,
    patience: int | None = None,
) -> None:
    """Refuse numbers, as of :class:`SearchRequest`, that are too small or large for a meaning."""
    for option, value, least, most in (
        ("--seed", seed, 0, _MOST_SEED),
        ("--trials", trials, 1, MOST_TRIALS),
        ("--concurrency", concurrency, 1, _MOST_AT_ONCE),
        ("--seeds", seeds, 0, MOST_SEEDS),
        ("--patience", patience, 1, MOST_TRIALS),
        ("--cross-fit", cross_fit, 2, MOST_TRIALS),
    ):
        if value is not None:
            check_whole(option, value, least, most)
    if 0 < seeds < MIN_SEEDS:
        raise UserError(
            f"--seeds must be 0 or at least {MIN_SEEDS}, as fewer say nothing of their spread; "
            f"got {seeds}"
        )


def check_data(
    configs: list[TrialConfig], data_dir: Path | None, asked: str | None = None
) -> tuple[list[str], Metric]:
    """Load each data set that the space can ask for: what is missing shows before any trial.

    Args:
        configs: drawn from the space.
        data_dir: where to look for data first.
        asked: the metric that is asked for, if any.

    Returns:
        What :meth:`TrialConfig.remarks` and :func:`check_own_files` remark on, each line once; and
        the metric that all of these can be chosen by.
    """
    remarks = [remark for config in configs for remark in config.remarks()]
    seeded: set[str] = set()
    metrics: dict[tuple[str, bool], Metric] = {}
    alike: dict[tuple[Any, ...], dict[tuple[Any, ...], TrialConfig]] = defaultdict(dict)
    for config in configs:
        data = (
            config.task,
            config.shift,
            config.reference_size,
            config.select_size,
            config.folds,
        )
        alike[data][
            config.network,
            repr(config.model),
            config.divergence,
            config.representation,
            config.optimizer,
            config.schedule,
        ] = config
    for of_the_same_data in alike.values():
        first = next(iter(of_the_same_data.values()))
        splits = load_splits(first, data_dir)
        check_has_metric(find_task(first.task), splits)
        for config in of_the_same_data.values():
            remarks += check_own_files(config, splits)
        metric = main_metric(asked, find_task(first.task), splits)
        metrics[metric.name, metric.greater_is_better] = metric
        if first.task not in seeded:
            check_seeded(first, splits, data_dir)
            seeded.add(first.task)
    if len(metrics) > 1:
        raise UserError(
            f"the tasks of the space are judged by different metrics, {_listed(metrics)}: name one "
            "by --metric that they have in common"
        )
    return list(dict.fromkeys(remarks)), next(iter(metrics.values()))


def _listed(metrics: Iterable[tuple[str, bool]]) -> str:
    up = {True: "greater is better", False: "less is better"}
    return " and ".join(f"{name} ({up[greater]})" for name, greater in metrics)
