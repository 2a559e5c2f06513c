"""Tune's keeper of trials' processes, which lets a search outlive Ray's watch over memory."""

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError
from ray.tune.execution import tune_controller

from adiw_tune.search.on_ray.errors import KilledForMemoryError


class ActorManager(RayActorManager):
    """Takes a process that Ray killed for the machine's memory as one that died.

    Ray raises an error of its own for it, which Tune's keeper does not expect: it would end all,
    or of a process that was still starting keep nothing by which it could be told.
    """

    def _actor_start_failed(self, tracked_actor: Any, exception: Exception) -> None:
        super()._actor_start_failed(tracked_actor, _of_an_actor(exception))

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        super()._actor_task_failed(tracked_actor_task, _of_an_actor(exception))


def _of_an_actor(exception: Exception) -> Exception:
    return KilledForMemoryError() if isinstance(exception, OutOfMemoryError) else exception


def use_our_actor_manager() -> None:
    """Have every search of this process keep its trials by it: Tune has no option for that."""
    tune_controller.RayActorManager = ActorManager  # type: ignore[attr-defined]
