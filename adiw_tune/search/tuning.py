"""The part that Ray runs: the trials of a search, anew or restored."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from adiw_tune.search.events import EventCallback
from adiw_tune.search.record import SearchRecord, SearchSettings
from adiw_tune.search.searcher import TradeoffSearch
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.trainable import trainable

_ENVIRONMENT = {
    # Ray saves a search's state every 10 s at most; what finished since would run again.
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    # The loggers write what events.jsonl holds already, and one of them imports torch here.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run_trials(record: SearchRecord) -> bool:
    """Run, or go on with, the trials of ``record``; whether all of them have come to an end."""
    with _ray(record.settings):
        results = _make_tuner(record).fit()
    ended = record.trials()["status"].isin(["finished", "failed", "stopped"]).sum()
    return bool(len(results) >= record.settings.trials and ended >= record.settings.trials)


@contextmanager
def _ray(settings: SearchSettings) -> Iterator[None]:
    """Ray started on this machine, or connected to; quiet, since the events tell what happens."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    ray.init(
        address=settings.address,
        include_dashboard=None if settings.address else False,
        log_to_driver=False,
        logging_level=logging.CRITICAL,
        configure_logging=False,
    )
    try:
        yield
    finally:
        ray.shutdown()


def _make_tuner(record: SearchRecord) -> tune.Tuner:
    settings = record.settings
    path = record.folder / "ray"
    resources = {"cpu": 1, "gpu": settings.gpus_per_trial}
    bound = tune.with_parameters(trainable, data_dir=settings.data_dir)
    runnable: Any = tune.with_resources(bound, resources)
    if tune.Tuner.can_restore(str(path)):
        return tune.Tuner.restore(str(path), trainable=runnable, resume_unfinished=True)
    return tune.Tuner(
        runnable,
        tune_config=tune.TuneConfig(
            search_alg=TradeoffSearch(SpaceFile(record.space_path, settings.seed), settings.seed),
            num_samples=settings.trials,
            max_concurrent_trials=settings.concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(record.folder),
            callbacks=[EventCallback(record.events.path)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
