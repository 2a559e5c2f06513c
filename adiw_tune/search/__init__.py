"""The search: training runs as Ray Tune trials, proposed by Optuna.

Importing this does not import Ray; ``trainable`` does when Ray calls it.
"""

from adiw_tune.search.on_ray.trainable import trainable

__all__ = ["trainable"]
