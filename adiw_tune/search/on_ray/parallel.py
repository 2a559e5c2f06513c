"""A trial of several workers, which Ray Train starts and joins."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray import tune
from ray.exceptions import WorkerCrashedError
from ray.util.placement_group import PlacementGroup, remove_placement_group

from adiw_tune.search.on_ray.shares import Share
from adiw_tune.training.peers import is_broken_connection

_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # who reports waits to be asked, else every 2 s
    # Ray Train would begin a run anew whose node is taken away; a search has its own way for that.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
_UNWANTED = ("DatasetsCallback", "PlacementGroupCleanerCallback")


def run_on_workers(
    train: Callable[[dict[str, Any]], None], config: dict[str, Any], share: Share
) -> None:
    """Call ``train(config)`` in several processes at once, joined by ``torch.distributed``.

    By gloo on CPUs, by NCCL on GPUs, which wants whole ones. For use in a function trainable of Ray
    Tune, which is told what the first process tells ``ray.train.report``, and under
    ``checkpoint_path`` where a checkpoint is kept: in the trial's own directory, with the one
    before it. Ray does not start anew what has failed, but waits for room for as long as it takes.

    Args:
        train: called in every process. All report as often.
        config: what it is given.
        share: what each process has of a machine, and how many there are.

    Raises:
        Exception: what a worker raised, or Ray if its process or node is gone.
    """
    from ray.train import (
        CheckpointConfig,
        ControllerError,
        FailureConfig,
        RunConfig,
        ScalingConfig,
        WorkerGroupError,
    )
    from ray.tune.integration.ray_train import TuneReportCallback

    os.environ.update(_ENVIRONMENT)
    storage = tune.get_context().get_storage()
    trainer = _trainer_class()(
        train,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=share.workers,
            use_gpu=share.gpus > 0,
            resources_per_worker={"CPU": share.cpus, "GPU": share.gpus},
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
    except ControllerError as error:
        raise error.controller_failure from error


def _trainer_class() -> Any:
    from ray.train.torch import TorchTrainer

    class Trainer(TorchTrainer):
        """Without two processes more for each trial.

        One is for Ray's own data sets. The other is to give back what a killed trial had; it
        needs a dashboard, and without one it does not, and stays: see :class:`Sweeper`.
        """

        def _create_default_callbacks(self) -> list[Any]:
            made = super()._create_default_callbacks()  # type: ignore[misc]
            return [one for one in made if type(one).__name__ not in _UNWANTED]

    return Trainer


class Sweeper(tune.Callback):
    """Gives back the cores and GPUs that workers of a trial which was stopped or killed had.

    Its processes end when the trial's does. But Ray keeps a placement group that an actor made
    until the actor's whole job is over.
    """

    def __init__(self) -> None:
        self._due_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Every second."""
        if time.monotonic() < self._due_at:
            return
        for group in _placement_groups_left():
            remove_placement_group(group)
        self._due_at = time.monotonic() + 1


def _placement_groups_left() -> Iterator[PlacementGroup]:
    """This job's, made by actors that are dead."""
    from ray._private.state import state  # Ray's public table does not tell who made them
    from ray.core.generated import gcs_pb2

    kind: Any = gcs_pb2.PlacementGroupTableData  # type: ignore[attr-defined]
    own = ray.get_runtime_context().get_job_id()
    for packed in state._connect_and_get_accessor().get_placement_group_table():
        group = kind.FromString(packed)
        by_actor = group.creator_actor_id not in (b"", ray.ActorID.nil().binary())
        left = by_actor and group.creator_actor_dead and group.state != kind.REMOVED
        if left and group.creator_job_id.hex() == own:
            yield PlacementGroup(ray.PlacementGroupID(group.placement_group_id))


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
        elif not is_broken_connection(error):
            raised.append(error)
    return [*raised, *gone, WorkerCrashedError()][0]
