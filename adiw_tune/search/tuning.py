"""The part that Ray runs: the trials of a search, anew or restored."""

import json
import logging
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from adiw_tune.errors import UserError
from adiw_tune.search.events import EventCallback
from adiw_tune.search.record import SearchRecord
from adiw_tune.search.searcher import TradeoffSearch
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.trainable import trainable

_CONNECT_SECONDS = 5.0
_ADDRESS_HINT = "give HOST:PORT of a running one, or leave --address out to start Ray here"
_ENVIRONMENT = {
    # Ray saves a search's state every 10 s at most; what finished since would run again.
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    # The loggers write what events.jsonl holds already, and one of them imports torch here.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # spares each trial a warning about it
}


def run_trials(record: SearchRecord) -> bool:
    """Run, or go on with, the trials of ``record``; whether all of them have come to an end."""
    if not _complete(record):
        with _ray(record.settings.address):
            _make_tuner(record).fit()
    return _complete(record)


def _complete(record: SearchRecord) -> bool:
    ended = record.trials()["status"].isin(["finished", "failed", "stopped"]).sum()
    return bool(ended >= record.settings.trials)


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
        ray.shutdown()


def _make_tuner(record: SearchRecord) -> tune.Tuner:
    settings = record.settings
    path = record.folder / "ray"
    resources = {"cpu": 1, "gpu": settings.gpus_per_trial}
    bound = tune.with_parameters(trainable, data_dir=settings.data_dir)
    runnable: Any = tune.with_resources(bound, resources)
    if _can_restore(path):
        return tune.Tuner.restore(str(path), trainable=runnable, resume_unfinished=True)
    space = SpaceFile(record.space_path, settings.seed)
    seed = settings.seed + len(record.trials())  # not the proposals again that have run
    return tune.Tuner(
        runnable,
        tune_config=tune.TuneConfig(
            search_alg=TradeoffSearch(space, seed, settings.trials, record.events),
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


def _can_restore(path: Path) -> bool:
    """Whether Ray left its state, and whole: it copies one over the last, which a kill can tear."""
    try:
        json.loads(max(path.glob("experiment_state-*.json")).read_bytes())
        for pattern in ("tuner.pkl", "searcher-state-*.pkl", "search_gen_state-*.json"):
            pickle.loads(max(path.glob(pattern)).read_bytes())
    except Exception:  # there is none yet; or a part of one, and unpickling that can raise anything
        return False
    return True
