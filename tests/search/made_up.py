"""Histories that never ran: events written by hand, to ask what follows from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.record.history import History
from adiw_tune.record.log import EventLog
from adiw_tune.record.settings import SearchSettings
from adiw_tune.search.programme import Begin, Programme
from adiw_tune.search.proposals import Proposer
from adiw_tune.search.space import SpaceFile
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


def make(folder: Path, **changes: Any) -> Programme:
    """Of a search over ``SPACE``, with other settings."""
    (folder / "space.py").write_text(SPACE)
    chosen = settings(**changes)
    space = SpaceFile(folder / "space.py", seed=0, folds=chosen.folds)
    metric, baselines = chosen.main_metric, chosen.baselines
    proposer = Proposer(space, chosen.seed, chosen.trials, metric, baselines)
    return Programme(chosen, proposer)


_DETAILS: dict[str, dict[str, Any]] = {
    "session": {"packages": {}, "code": "", "commit": None, "python": "3", "machine": "m"},
    "extended": {"trials": 8},
    "trial": {
        "trial": "t0", "number": 0, "kind": "search", "of": None, "params": {},
        "distributions": {}, "config": {**TrialConfig.defaults(), "epochs": 3},
    },
    "setup": {
        "trial": "t0", "device": "d", "splits": {}, "plain_s": 0.001, "ratio": 1.0, "speed": 1.0,
        "extra_speed": 1.0, "memory_bytes": None, "device_bytes": None,
    },
    "epoch": {
        "trial": "t0", "epoch": 1, "metrics": {"accuracy": 0.8}, "work_s": 1.0, "wall_s": 2.0,
        "loss": 1.0, "shares": {},
    },
    "checkpoint": {"trial": "t0", "epoch": 1, "path": "0/t0/checkpoint_000000"},
    "cut": {"trial": "t0", "rung": 2},
    "lost": {"trial": "t0", "why": "process", "reason": "gone"},
    "end": {
        "trial": "t0", "status": "finished", "reason": None, "rung": None,
        "metrics": {"accuracy": 0.8}, "work_s": 1.0, "wall_s": 2.0,
    },
    "test_read": {"trial": "t0", "metrics": {"accuracy": 0.8}, "rows": 100, "again": False},
}  # fmt: skip
KINDS = tuple(_DETAILS)


def details(event: str, **changes: Any) -> dict[str, Any]:
    """Of one event of this kind, all that a search writes of it but its time."""
    return {**_DETAILS[event], **changes}


def line(event: str, time: float, **changes: Any) -> str:
    """It as a line of the log."""
    return json.dumps({"event": event, **details(event, **changes), "time": time}) + "\n"


class Story:
    """Writes what happens to runs, as the search would."""

    def __init__(self, folder: Path) -> None:
        self.log = EventLog(folder / "events.jsonl")
        self.log.append("session", **details("session"))

    def history(self, metric: Metric = ACCURACY) -> History:
        return History(self.log, metric)

    def begins(self, begin: Begin) -> None:
        """What its configuration leaves out has its defaults, as in a space."""
        config = {**TrialConfig.defaults(), **begin.config}
        self.log.append("trial", **{**begin.__dict__, "config": config})

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
        accuracy: float | None = 0.8,
        work_s: float = 3.0,
        epochs: int | None = None,
        reason: str | None = None,
        metric: str = "accuracy",
    ) -> None:
        """It runs its epochs, or fewer, and ends; ``accuracy`` is the value of ``metric``."""
        run = self.history().runs[trial]
        last = run.config["epochs"] if epochs is None else epochs
        for epoch in range(1, last + 1):
            spent = work_s * epoch / last
            numbers = {"metrics": {metric: accuracy}, "work_s": spent, "wall_s": 2 * spent}
            self.log.append("epoch", trial=trial, epoch=epoch, loss=1.0, shares={}, **numbers)
        if status == "pruned":
            self.log.append("cut", trial=trial, rung=last)
        self.log.append("end", trial=trial, status=status, reason=reason)


# Classes of a user's own whose members count as numbers and strings.
ODD = """
import decimal, enum
import numpy as np

class Number(float):
    pass

class Word(str):
    pass

class Size(enum.IntEnum):
    FEW, MANY = 3, 4

class Name(str, enum.Enum):
    KL, MMD = "kl", "mmd"
"""
