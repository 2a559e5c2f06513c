"""Processes of trials that Ray kills, as Tune's keeper of them is told of it."""

from __future__ import annotations

import pytest
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError

from adiw_tune.search.on_ray.actors import ActorManager
from adiw_tune.search.on_ray.errors import is_out_of_memory, reason_of


@pytest.mark.parametrize("told", ["_actor_start_failed", "_actor_task_failed"])
def test_killed_for_memory_is_out_of_memory_also_while_it_starts(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune writes down errors of an actor alone, from which it is then told what a run died of."""
    errors: list[Exception] = []
    monkeypatch.setattr(RayActorManager, told, lambda _, __, exception: errors.append(exception))
    manager = ActorManager.__new__(ActorManager)  # one that runs needs a cluster
    getattr(manager, told)(None, OutOfMemoryError("the node is running low on memory"))
    (error,) = errors
    assert isinstance(error, RayActorError)
    assert is_out_of_memory(error)
    assert reason_of(error) == "Ray killed its process, as the machine ran low on memory"
