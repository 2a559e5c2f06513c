"""Histories that never ran: events written by hand, to ask what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.record import SearchSettings
from adiw_tune.search.programme import Begin
from adiw_tune.training import TrialConfig

SPACE = """
def space(trial):
    return {
        "divergence": trial.suggest_categorical("divergence", ["mmd", "kl"]),
        "steps": trial.suggest_int("steps", 1, 20, log=True),
        "epochs": trial.suggest_int("epochs", 3, 9),
    }
"""


def settings(**changes: Any) -> SearchSettings:
    values: dict[str, Any] = {
        "name": "s", "search_id": "0", "trials": 4, "seed": 0, "concurrency": 1,
        "cpus_per_trial": 1, "gpus_per_trial": None, "workers_per_trial": 1, "devices": 1,
        "checkpoints": None, "policy": "best-under=1000", "seeds": 3, "early_stopping": True,
        "patience": None, "budget": None, "price": None, "folder": Path("/"), "folds": 1,
        "tracking_uri": "sqlite:///mlflow.db", "data_dir": None, "address": None, "version": "0",
    }  # fmt: skip
    return SearchSettings(**{**values, **changes})


class Story:
    """Writes what happens to runs, as the search would."""

    def __init__(self, folder: Path) -> None:
        self.log = EventLog(folder / "events.jsonl")
        self.log.append("session", packages={}, code="", commit=None, python="3", machine="m")

    def history(self) -> History:
        return History(self.log)

    def begins(self, begin: Begin) -> None:
        self.log.append("trial", **begin.__dict__)

    def trial(self, number: int, status: str = "finished", **numbers: Any) -> None:
        """A search trial from its beginning to its end; of mmd if even, else of kl."""
        divergence = ("mmd", "kl")[number % 2]
        config = {**TrialConfig.defaults(), "divergence": divergence, "epochs": 3}
        self.begins(Begin(f"t{number}", number, "search", None, config))
        self.ends(f"t{number}", status, **numbers)

    def ends(
        self,
        trial: str,
        status: str = "finished",
        accuracy: float = 0.8,
        work_s: float = 3.0,
        epochs: int | None = None,
        reason: str | None = None,
    ) -> None:
        """It runs its epochs, or fewer, and ends."""
        run = self.history().runs[trial]
        last = run.config["epochs"] if epochs is None else epochs
        for epoch in range(1, last + 1):
            spent = work_s * epoch / last
            numbers = {"accuracy": accuracy, "work_s": spent, "wall_s": 2 * spent}
            self.log.append("epoch", trial=trial, epoch=epoch, loss=1.0, shares={}, **numbers)
        if status == "pruned":
            self.log.append("cut", trial=trial, rung=last)
        self.log.append("end", trial=trial, status=status, reason=reason)
