"""The part that Ray runs: the programme of a search, or what is left of it."""

import gc
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from adiw_tune.errors import UserError
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.on_ray.events import EventCallback
from adiw_tune.search.on_ray.scheduler import ParetoScheduler
from adiw_tune.search.on_ray.searcher import BudgetStopper, ProgrammeSearcher
from adiw_tune.search.on_ray.trainable import run_id, run_of_search
from adiw_tune.search.programme import Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile

_CONNECT_SECONDS = 5.0
_ADDRESS_HINT = "give HOST:PORT of a running one, or leave --address out to start Ray here"
_ENVIRONMENT = {
    # The loggers write what events.jsonl holds already, and one of them imports torch here.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # spares each trial a warning about it
}


def run_programme(record: SearchRecord) -> bool:
    """Run, or go on with, what is left of a search; whether it came to its end."""
    settings = record.settings
    space = SpaceFile(record.space_path, settings.seed, settings.folder, settings.folds)
    programme = Programme(settings, Proposer(space, settings.seed, settings.trials))
    if not programme.over(record.history()):
        with _ray(settings.address):
            _make_tuner(record, programme).fit()
    return programme.over(record.history())


def check_cluster(address: str) -> None:
    """Refuse an address at which no Ray cluster answers; Ray itself would wait for minutes."""
    if not address.startswith(("auto", "local", "ray://")):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            raise UserError(f"no Ray cluster at '{address}' ({error}): {_ADDRESS_HINT}") from error
    try:
        with _ray(address):
            pass
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"no Ray cluster at '{address}': {_ADDRESS_HINT}") from error


@contextmanager
def _ray(address: str | None) -> Iterator[None]:
    """Ray started on this machine, or connected to; quiet, since the events tell what happens."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ray.init(
        address=address,
        include_dashboard=None if address else False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        configure_logging=False,
    )
    try:
        yield
    finally:
        # Ray ends this process at once if a thread frees one of its objects while it shuts down, as
        # a collection of garbage in the thread that shows progress, or sends to MLflow, would.
        gc.collect()
        gc.disable()
        try:
            ray.shutdown()
        finally:
            gc.enable()


def _make_tuner(record: SearchRecord, programme: Programme) -> tune.Tuner:
    settings, path = record.settings, record.log.path
    bound = tune.with_parameters(run_of_search, data_dir=settings.data_dir)
    resources = {"cpu": 1, "gpu": settings.gpus_per_trial}
    session = f"{len(list(record.folder.glob('ray/*')))}"  # Tune's own state is never read again
    scheduler = ParetoScheduler(path) if settings.early_stopping else FIFOScheduler()
    return tune.Tuner(
        tune.with_resources(bound, resources),
        tune_config=tune.TuneConfig(
            search_alg=ProgrammeSearcher(programme, path),
            scheduler=scheduler,
            num_samples=-1,  # as many as the programme has
            max_concurrent_trials=settings.concurrency,
            reuse_actors=True,
            trial_dirname_creator=_folder_name,
        ),
        run_config=tune.RunConfig(
            name=session,
            storage_path=str(record.folder / "ray"),
            callbacks=[EventCallback(path)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=0),
            stop=BudgetStopper(programme, path),
            verbose=0,
        ),
    )


def _folder_name(trial: Trial) -> str:
    return run_id(trial.config)
