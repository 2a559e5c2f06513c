"""A search that never ran, and what MLflow holds of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pandas as pd

_ARMS = ["erm", "diw", "mmd", "kl", "squared", "wasserstein", "energy"]
_START = 1_800_000_000.0
EPOCHS = 3

History = dict[str, dict[str, list[tuple[int, int, float]]]]


def expected_history(events: list[dict[str, Any]]) -> History:
    """Return trial -> metric -> sorted (step, timestamp, value), as the events have them."""
    history: History = {event["trial"]: {} for event in events}
    for event in events:
        if event["event"] == "epoch":
            for metric in ("accuracy", "train_seconds", "loss"):
                point = (event["epoch"], int(event["time"] * 1000), event[metric])
                history[event["trial"]].setdefault(metric, []).append(point)
    return history


def stored_history(uri: str) -> History:
    """Return the same from the store, and fail on two runs for one trial."""
    history: History = {}
    for trial, run in children(uri).items():
        history[trial] = {
            metric: sorted(
                (point.step, point.timestamp, point.value)
                for point in client(uri).get_metric_history(run.info.run_id, metric)
            )
            for metric in run.data.metrics
        }
    return history


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def all_runs(uri: str) -> list[Any]:
    experiments = [found.experiment_id for found in client(uri).search_experiments()]
    return list(client(uri).search_runs(experiments, max_results=1000))


def children(uri: str) -> dict[str, Any]:
    runs = [run for run in all_runs(uri) if "mlflow.parentRunId" in run.data.tags]
    by_trial = {run.data.tags["adiw.trial"]: run for run in runs}
    assert len(by_trial) == len(runs), "two runs for one trial"
    return by_trial


@dataclass(frozen=True)
class FakeSearch:
    """A search that never ran: its events, and what deciding on them gave."""

    events: list[dict[str, Any]]
    trials: pd.DataFrame
    decision: dict[str, Any]

    @property
    def front(self) -> pd.DataFrame:
        return self.trials[self.trials["on_front"]]


def _config(arm: str, rng: random.Random) -> dict[str, Any]:
    baseline = arm in ("erm", "diw")
    return {
        "method": arm if baseline else "adiw",
        "divergence": None if baseline else arm,
        "learning_rate": 10 ** rng.uniform(-3.5, -2),
        "solver_steps": rng.choice([1, 3, 5, 10]),
        "batch_size": 256,
    }


def _trial_events(number: int, trial: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    accuracy, seconds = 0.7 + 0.02 * number, 5.0 + 4 * (number * 3 % 7)
    time = _START + 10 * number
    events: list[dict[str, Any]] = [
        {"event": "trial", "trial": trial, "number": number, "config": config, "time": time}
    ]
    for epoch in range(1, EPOCHS + 1):
        share = epoch / EPOCHS
        point = {"accuracy": accuracy * share**0.2, "train_seconds": seconds * share, "loss": share}
        events.append(
            {"event": "epoch", "trial": trial, "epoch": epoch, **point, "time": time + epoch}
        )
    end = {"event": "end", "trial": trial, "status": "finished", "reason": None, "time": time + 9}
    return [*events, {**end, "accuracy": accuracy, "train_seconds": seconds}]


def make_search(count: int = 8) -> FakeSearch:
    """Return a search of `count` trials, of which number 3 failed and number 4 was stopped."""
    rng = random.Random(count)
    events: list[dict[str, Any]] = []
    rows = []
    for number in range(count):
        trial, arm = f"trial{number:02d}", _ARMS[number % len(_ARMS)]
        config = _config(arm, rng)
        some = _trial_events(number, trial, config)
        end = some[-1]
        if number == 3:
            end.update(status="failed", reason="weights became NaN", accuracy=None)
        if number == 4:
            end["status"] = "stopped"
        events += some
        row = {key: end[key] for key in ("trial", "accuracy", "train_seconds", "status")}
        shown = {"solver_steps": config["solver_steps"]}
        rows.append({**row, "number": number, "divergence": arm, "epochs": EPOCHS, **shown})
    trials = pd.DataFrame(rows)
    trials["on_front"] = trials["number"].isin([count - 2, count - 1])
    best = trials.iloc[-1]
    decision = {key: best[key] for key in ("divergence", "trial", "accuracy", "train_seconds")}
    return FakeSearch(events, trials, {**decision, "policy": "best", "reason": "most accurate"})
