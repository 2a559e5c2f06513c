"""The search: training runs as Ray Tune trials, proposed by Optuna.

Importing this does not import Ray: asking for ``trainable`` does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adiw_tune.search.on_ray.trainable import trainable

__all__ = ["trainable"]


def __getattr__(name: str) -> Any:
    if name != "trainable":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from adiw_tune.search.on_ray.trainable import trainable

    return trainable
