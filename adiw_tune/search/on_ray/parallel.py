"""A trial of several workers, which Ray Train starts and joins."""

import math
import os
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.exceptions import WorkerCrashedError
from torch.distributed import DistError

from adiw_tune.search.on_ray.shares import Share

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # who reports waits to be asked, else every 2 s
    # Ray Train would begin a run anew whose node is taken away; a search has its own way for that.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


def run_on_workers(
    train: Callable[[dict[str, Any]], None], config: dict[str, Any], share: Share
) -> None:
    """Call ``train(config)`` in several processes at once, joined by ``torch.distributed``.

    By gloo on CPUs, by NCCL on GPUs, of which it takes a whole one a process. For use in a function
    trainable of Ray Tune, which is told what the first process tells ``ray.train.report``, and
    under ``checkpoint_path`` where a checkpoint is kept: in the trial's own directory, with the
    one before it. Ray does not start anew what has failed.

    Args:
        train: called in every process. All report as often.
        config: what it is given.
        share: what each process has of a machine, and how many there are.

    Raises:
        Exception: what a worker raised, or Ray if its process or node is gone.
    """
    from ray.train import (
        CheckpointConfig,
        FailureConfig,
        RunConfig,
        ScalingConfig,
        WorkerGroupError,
    )
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    os.environ.update(_ENVIRONMENT)
    storage = tune.get_context().get_storage()
    gpus = math.ceil(share.gpus)
    trainer = TorchTrainer(
        train,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=share.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": share.cpus, "GPU": gpus},
        ),
        run_config=RunConfig(
            name="workers",
            storage_path=storage.trial_fs_path,
            storage_filesystem=storage.storage_filesystem,
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        trainer.fit()
    except WorkerGroupError as error:
        raise first_cause(error.worker_failures) from error


def first_cause(failures: dict[int, Exception]) -> Exception:
    """Of what the workers of a trial raised, by rank, that from which the rest follows.

    Where one ends, the others' connections to it break, and they may be heard of sooner.
    """
    raised, gone = [], []
    for rank in sorted(failures):
        error = failures[rank]
        lost = getattr(error, "health_check_failure", None)  # Ray's, of a process that is gone
        if isinstance(lost, Exception):
            gone.append(lost)
        elif not _is_broken_connection(error):
            raised.append(error)
    return [*raised, *gone, WorkerCrashedError()][0]


def _is_broken_connection(error: Exception) -> bool:
    return isinstance(error, DistError) or (
        type(error) is RuntimeError and ("gloo" in str(error) or "NCCL" in str(error))
    )
