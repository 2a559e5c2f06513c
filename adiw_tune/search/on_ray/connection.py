"""The way to a cluster: Ray started on this machine, or one that runs, and what it has."""

import gc
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants, worker
from ray.exceptions import AuthenticationError, RayError

from adiw_tune.addresses import RIGHT_CLUSTER, cluster_place
from adiw_tune.cores import usable_cores
from adiw_tune.errors import UserError
from adiw_tune.search.on_ray.head import answers
from adiw_tune.search.on_ray.local import folder_for_ray, why_not_started
from adiw_tune.search.on_ray.shares import Machines

_TOKEN = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to its own"
ENVIRONMENT = {
    # The loggers write what events.jsonl holds already, and one of them imports torch here.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own state is never read again
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Of Ray's own processes, without which it ends: on a busy machine their imports take longer
    # than its 30 s.
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # spares each trial a warning about it
}


def devices_at(address: str) -> int:
    """How many GPUs a cluster has now, or nodes if it has none.

    Raises:
        UserError: no cluster answers; Ray itself would wait for minutes.
    """
    place = cluster_place(address)
    if place and not answers(*place):
        raise UserError(f"no Ray cluster at '{':'.join(map(str, place))}': {RIGHT_CLUSTER}")
    try:
        with connected(address):
            return int(ray.cluster_resources().get("GPU", 0)) or len(ray.nodes())
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        told = f"{error} {error.__context__}"
        if isinstance(error, AuthenticationError) or "InvalidAuthToken" in told:
            raise UserError(
                f"the Ray cluster at '{address}' refuses the token, or there is none here: {_TOKEN}"
            ) from error
        raise UserError(f"no Ray cluster at '{address}': {RIGHT_CLUSTER}") from error


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray started on this machine, or connected to; quiet, since the events tell what happens.

    Args:
        address: of a running cluster, as ``ray.init`` takes it; None starts Ray here.

    Raises:
        UserError: Ray does not start here.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    worker.print_to_stdstream = _say_nothing  # of a worker or a raylet that died, in 30 lines
    with nullcontext() if address else folder_for_ray() as folder:
        try:
            if folder is None:
                _init(address=address)
            else:
                _start(folder)
            yield
        finally:
            _shutdown()


def _say_nothing(*_: object, **__: object) -> None:
    """In place of what prints to this process's output what Ray's own processes tell."""


def _start(folder: Path) -> None:
    """Ray on this machine, with its files in ``folder``.

    Again, up to three times, if its processes took longer than the 30 s that it allows, as on a
    busy machine: by then their code is in memory.
    """
    _keep_to_this_machine()
    for is_last in (False, False, False, True):
        try:
            _init(
                address="local",  # whatever $RAY_ADDRESS says
                include_dashboard=False,
                num_cpus=usable_cores(),
                _temp_dir=str(folder),
            )
            return
        except Exception as error:  # Ray raises plain ones too
            if is_last or "timed out during startup" not in str(error):
                raise why_not_started(error, folder) from error
            _shutdown()


def _init(**options: Any) -> None:
    """``ray.init`` without a word, and without its handler of SIGTERM, which ends all at once."""
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            configure_logging=False,
            **options,
        )
    except SystemExit:  # by that handler
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)


def _shutdown() -> None:
    # Ray ends this process at once if a thread frees one of its objects while it shuts down, as a
    # collection of garbage in the thread that shows progress, or sends to MLflow, would.
    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()


def _keep_to_this_machine() -> None:
    """Ray would listen on every interface, and leave a token in a file that others may read.

    Where it makes no clusters, as on macOS, it takes the loopback address. It reads whether it does
    from $RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, but only when it is imported.
    """
    ray_constants.ENABLE_RAY_CLUSTER = False
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def machines() -> Machines:
    """What the nodes that are there now have."""
    has = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus, gpus = ([int(one.get(what, 0)) for one in has] for what in ("CPU", "GPU"))
    return Machines(max(cpus), max(gpus), sum(cpus), sum(gpus))
