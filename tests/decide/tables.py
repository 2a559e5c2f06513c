"""Tables of trials and reruns for the tests of decisions."""

from __future__ import annotations

import numpy as np
import pandas as pd

Row = tuple[str, float, float] | tuple[str, float, float, str]


def trials(*rows: Row) -> pd.DataFrame:
    """Trials numbered in order, of (divergence, accuracy, work and, if not finished, status)."""
    return pd.DataFrame(
        {
            "trial": [f"t{number}" for number in range(len(rows))],
            "number": range(len(rows)),
            "divergence": [row[0] for row in rows],
            "accuracy": [row[1] for row in rows],
            "work_s": [row[2] for row in rows],
            "wall_s": [2 * row[2] for row in rows],
            "retimed_s": float("nan"),
            "status": [row[3] if len(row) == 4 else "finished" for row in rows],
        }
    )


def reruns(of: pd.DataFrame, accuracy: dict[str, list[float]]) -> pd.DataFrame:
    """Reruns of trials over the seeds 0, 1, ..., in which work does not vary."""
    known = of.set_index("trial")
    return pd.DataFrame(
        [
            (trial, known["divergence"][trial], seed, value, known["work_s"][trial])
            for trial, values in accuracy.items()
            for seed, value in enumerate(values)
        ],
        columns=["trial", "divergence", "seed", "accuracy", "work_s"],
    )


def drawn(
    means: list[float], seeds: int, rng: np.random.Generator, own: float | np.ndarray
) -> np.ndarray:
    """[k, seeds] accuracies: a mean, what a seed does to all (0.01), what is a run's own."""
    return (
        np.array(means)[:, None]
        + rng.normal(0, 0.01, seeds)
        + rng.normal(0, own, (len(means), seeds))
    )
