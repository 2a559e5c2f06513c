"""The part that Ray runs: the programme of a search, or what is left of it."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.record.runs import CHECKPOINTS_KEPT
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.on_ray.actors import use_our_actor_manager
from adiw_tune.search.on_ray.connection import connected, machines
from adiw_tune.search.on_ray.events import EventCallback
from adiw_tune.search.on_ray.head import watched_head
from adiw_tune.search.on_ray.local import watched_here
from adiw_tune.search.on_ray.parallel import Sweeper
from adiw_tune.search.on_ray.rows import RowsKeeper
from adiw_tune.search.on_ray.scheduler import ParetoScheduler
from adiw_tune.search.on_ray.searcher import BudgetStopper, ProgrammeSearcher
from adiw_tune.search.on_ray.shares import Machines, Share, missing
from adiw_tune.search.on_ray.trainable import Files, run_id, run_of_search
from adiw_tune.search.programme import Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile


def run_programme(
    record: SearchRecord,
    address: str | None,
    warn: Callable[[str], None],
    lost: Callable[[str | None], None],
) -> bool:
    """Run, or go on with, what is left of a search; whether it came to its end.

    Args:
        record: of the search.
        address: of a running Ray cluster; None starts Ray on this machine.
        warn: called with a line if no machine has room for a trial.
        lost: called with what is gone, if the cluster's head is, or Ray on this machine; see
            :func:`watched_head` and :func:`watched_here`.
    """
    settings = record.settings
    space = SpaceFile(record.space_path, settings.seed, settings.files_from, settings.folds)
    metric = settings.main_metric
    proposer = Proposer(space, settings.seed, settings.trials, metric, settings.baselines)
    programme = Programme(settings, proposer)
    if not programme.over(record.history()):
        head_lost = partial(lost, f"Ray's head at '{address}' is gone")
        with connected(address), watched_head(head_lost) if address else watched_here(lost):
            if wanted := missing(settings, machines()):
                warn(f"{wanted}: trials wait for a machine that joins")
            _fit(_make_tuner(record, programme))
    return programme.over(record.history())


def _fit(tuner: tune.Tuner) -> None:
    """Run it; what one of our callbacks refuses comes wrapped in Tune's errors."""
    use_our_actor_manager()
    try:
        with _signals_put_back():
            tuner.fit()
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__ or cause.__context__
        raise cause or error from None


@contextmanager
def _signals_put_back() -> Iterator[None]:
    """Tune has a handler of its own for Ctrl-C, and leaves it behind: there it would do nothing.

    Where SIGINT is ignored, as in the background of a script, it goes on to be.
    """
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    if kept[signal.SIGINT] is signal.SIG_IGN:
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _make_tuner(record: SearchRecord, programme: Programme) -> tune.Tuner:
    settings, path, store = record.settings, record.log.path, record.checkpoints
    # Runs one after the other load their own rows: to keep them takes a process.
    rows = None if settings.concurrency == 1 else RowsKeeper(settings.data_dir)
    files = Files(settings.files_from, settings.data_dir, rows, store)
    # tune.with_parameters would put the files into Ray's object store. If a node that holds an
    # object of the driver shuts down, as by SIGTERM, Ray ends the driver without a message.
    bound = partial(run_of_search, files=files)
    rungs = ParetoScheduler(path, settings.main_metric) if settings.early_stopping else None
    here, together = machines(), settings.workers_per_trial > 1
    at_once = _at_once(settings, here)
    if at_once is None:
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(_starting_at_once(settings)))
    return tune.Tuner(
        tune.with_resources(bound, _bundles),
        tune_config=tune.TuneConfig(
            search_alg=ProgrammeSearcher(programme, record, here),
            scheduler=rungs or FIFOScheduler(),
            num_samples=-1,  # as many as the programme has
            max_concurrent_trials=at_once,
            # A process whose workers train on could not begin another trial.
            reuse_actors=not together,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=str(store.sessions()),  # Tune's own state is never read again
            storage_path=store.base,
            storage_filesystem=store.filesystem,
            callbacks=[EventCallback(record, here), *([Sweeper()] if together else [])],
            # With 1, each checkpoint makes Tune write down all that it knows of all trials.
            checkpoint_config=tune.CheckpointConfig(num_to_keep=CHECKPOINTS_KEPT),
            # The searcher gives runs again that were lost. Tune would give any that fails.
            failure_config=tune.FailureConfig(max_failures=0),
            stop=BudgetStopper(programme, path),
            verbose=0,
        ),
    )


def _starting_at_once(settings: SearchSettings) -> int:
    """How many runs may wait for their process, where no number of runs at once is given.

    With one, as Tune has it then, 1,000 processes of 8 s each take more than two hours to start.
    With many, what waits for a full cluster was proposed too early. So a tenth of what has room.
    """
    return max(1, int(ray.cluster_resources().get("CPU", 0) / settings.cpus_per_trial) // 10)


def _at_once(settings: SearchSettings, here: Machines) -> int | None:
    """How many runs, at most.

    Tune itself counts what runs take, except those of several workers, which Ray Train places. On
    a cluster that grows by itself --concurrency says how far.
    """
    workers = settings.workers_per_trial
    if settings.concurrency or workers == 1:
        return settings.concurrency
    has = ray.cluster_resources()
    gpus = math.ceil(
        float(here.gpus > 0) if settings.gpus_per_trial is None else settings.gpus_per_trial
    )
    room = has.get("CPU", 0) / (workers * settings.cpus_per_trial)
    if gpus:
        room = min(room, has.get("GPU", 0) / (workers * gpus))
    return max(1, int(room))


def _bundles(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    return Share(**config["adiw"]["share"]).bundles()


def _folder_name(trial: Trial) -> str:
    attempt = trial.config["adiw"]["attempt"]
    return run_id(trial.config) + (f"-again{attempt}" if attempt else "")
