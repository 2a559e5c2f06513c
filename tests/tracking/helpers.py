"""A search that never ran, and what MLflow holds of it."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.ui import ServedUi

_ARMS = ["erm", "diw", "mmd", "kl", "squared", "wasserstein", "energy"]
_START = 1_800_000_000.0
EPOCHS = 3
SEEDS = 2
FAILED, STOPPED, PRUNED = "t3", "t4", "t5"  # the fates of these; the others finished
RUNG = 2  # where PRUNED was cut
COMMAND = "adiw-tune train --from digits"
METRICS = ("accuracy", "work_s", "wall_s", "loss")

History = dict[str, dict[str, list[tuple[int, int, float]]]]


def expected_history(events: list[dict[str, Any]]) -> History:
    """Return trial -> metric -> sorted (step, timestamp, value), as the events have them."""
    history: History = {event["trial"]: {} for event in events if event["event"] == "trial"}
    for event in events:
        if event["event"] == "epoch":
            for metric in METRICS:
                point = (event["epoch"], int(event["time"] * 1000), event[metric])
                history[event["trial"]].setdefault(metric, []).append(point)
    for event in events:
        epochs = history[event["trial"]] if event["event"] == "end" else {}
        if epochs:  # here the accuracy of every trial rises to its last epoch
            time = int(event["time"] * 1000)
            step, _, accuracy = max(epochs["accuracy"], key=lambda point: point[2])
            work_s = {at: value for at, _, value in epochs["work_s"]}[step]
            for name, value in (("accuracy", accuracy), ("epoch", step), ("work_s", work_s)):
                epochs[f"best/{name}"] = [(step, time, value)]
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


def kill(served: ServedUi) -> None:
    assert served.server is not None
    os.killpg(served.server.pid, signal.SIGKILL)
    served.server.wait()


@dataclass(frozen=True)
class FakeSearch:
    """A search that never ran: its events, and what it came to."""

    events: list[dict[str, Any]]
    outcome: Outcome

    def without_decision(self, status: str) -> Outcome:
        """Return the outcome if every trial had this status and no accuracy."""
        trials = self.outcome.trials.assign(status=status, accuracy=None, on_front=False)
        return replace(
            self.outcome,
            trials=trials,
            decision=None,
            reruns=self.outcome.reruns.head(0),
            curves=self.outcome.curves.head(0),
            importance=self.outcome.importance.head(0),
            hypervolume=[],
        )


def make_search(count: int = 8) -> FakeSearch:
    """Return a search of `count` trials, at least 6, whose last two are the front."""
    rng = random.Random(count)
    events = [{"event": "session", "packages": {}, "commit": None, "time": _START}]
    rows = []
    for number in range(count):
        some = _search_trial(number, rng)
        events += some
        rows.append(_row(number, some))
    trials = pd.DataFrame(rows)
    trials["on_front"] = trials["number"].isin([count - 2, count - 1])
    finalists = trials[trials["on_front"]]
    reruns = [_rerun(row, seed) for row in finalists.to_dict("records") for seed in range(SEEDS)]
    for rerun in reruns:
        events += rerun
    decision = _decision(trials, finalists)
    importance = {
        "parameter": ["learning_rate", "divergence", "steps"],
        "accuracy": [0.6, 0.3, 0.1],
        "work_s": [0.05, 0.25, 0.7],
    }
    outcome = Outcome(
        trials=trials,
        decision=decision,
        reruns=_reruns(reruns),
        curves=_curves(events, trials),
        importance=pd.DataFrame(importance),
        hypervolume=[0.1 * (k + 1) for k in range(int((trials["status"] == "finished").sum()))],
        winner_command=COMMAND,
    )
    return FakeSearch(events, outcome)


def _config(arm: str, rng: random.Random) -> dict[str, Any]:
    baseline = arm in ("erm", "diw")
    return {
        "method": arm if baseline else "adiw",
        "divergence": None if baseline else arm,
        "learning_rate": 10 ** rng.uniform(-3.5, -2),
        "steps": rng.choice([1, 3, 5, 10]),
        "batch_size": 256,
    }


def _search_trial(number: int, rng: random.Random) -> list[dict[str, Any]]:
    trial, arm = f"t{number}", _ARMS[number % len(_ARMS)]
    accuracy, work_s = 0.7 + 0.02 * min(number, 12), 5.0 + 4 * (number * 3 % 7)
    begun = {"trial": trial, "number": number, "kind": "search", "of": None}
    events = _training(begun, _config(arm, rng), accuracy, work_s, _START + 10 * number)
    if trial == PRUNED:
        del events[2 + RUNG : -1]
        cut = {key: events[-2][key] for key in ("accuracy", "work_s", "wall_s")}
        reason = f"cut at rung {RUNG}: 3 of 4 there are better"
        events[-1].update(status="pruned", rung=RUNG, reason=reason, **cut)
    if trial == FAILED:
        events[-1].update(status="failed", reason="weights became NaN", accuracy=None)
    if trial == STOPPED:
        events[-1].update(status="stopped", reason="the budget was spent")
    return events


def _rerun(row: dict[Any, Any], seed: int) -> list[dict[str, Any]]:
    begun = {"trial": f"{row['trial']}-seed{seed}", "number": row["number"], "kind": "seed"}
    config = {"method": "adiw", "divergence": row["divergence"], "seed": seed}
    accuracy = row["accuracy"] + 0.002 * (seed - 0.5)
    time = _START + 500 + 10 * seed
    return _training({**begun, "of": row["trial"]}, config, accuracy, row["work_s"], time)


def _training(
    begun: dict[str, Any], config: dict[str, Any], accuracy: float, work_s: float, time: float
) -> list[dict[str, Any]]:
    of = {"trial": begun["trial"]}
    splits = {"reference": "aa11", "select": "bb22", "test": "cc33"}
    setup = {"event": "setup", **of, "device": "cpu", "splits": splits, "plain_s": 0.5}
    setup["versions"] = {"torch": "2.15.0", "adiw-tune": None}
    epochs = [
        {"event": "epoch", **of, "epoch": epoch, "time": time + epoch, "loss": epoch / EPOCHS}
        | {"accuracy": accuracy * (epoch / EPOCHS) ** 0.2}
        | {"work_s": work_s * epoch / EPOCHS, "wall_s": 2 * work_s * epoch / EPOCHS}
        for epoch in range(1, EPOCHS + 1)
    ]
    end = {"event": "end", **of, "status": "finished", "reason": None, "rung": None}
    last = {"accuracy": accuracy, "work_s": work_s, "wall_s": 2 * work_s, "time": time + 9}
    return [
        {"event": "trial", **begun, "config": config, "time": time},
        {**setup, "ratio": 1.2, "time": time},
        *epochs,
        {**end, **last},
    ]


def _row(number: int, events: list[dict[str, Any]]) -> dict[str, Any]:
    begun, end = events[0], events[-1]
    config = begun["config"]
    row = {key: end[key] for key in ("trial", "status", "accuracy", "work_s", "wall_s", "reason")}
    row["rung"] = end["rung"] if end["rung"] is not None else float("nan")
    row["retimed_s"] = float("nan") if number < 6 else 1.1 * end["work_s"]
    row |= {"number": number, "divergence": config["divergence"] or config["method"]}
    return row | {"epochs": len(events) - 3, "steps": config["steps"]}


def _reruns(reruns: list[list[dict[str, Any]]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": begun["of"],
            "divergence": begun["config"]["divergence"],
            "seed": begun["config"]["seed"],
            "accuracy": end["accuracy"],
            "work_s": end["work_s"],
        }
        for begun, *_, end in reruns
    )


def _curves(events: list[dict[str, Any]], trials: pd.DataFrame) -> pd.DataFrame:
    epochs = pd.DataFrame([event for event in events if event["event"] == "epoch"])
    curves = epochs.merge(trials[["trial", "divergence", "status"]], on="trial")
    return curves[["trial", "divergence", "status", "epoch", "accuracy", "work_s"]]


def _decision(trials: pd.DataFrame, finalists: pd.DataFrame) -> dict[str, Any]:
    entries = [
        {key: row[key] for key in ("divergence", "trial", "accuracy", "work_s", "retimed_s")}
        | {"interval": [row["accuracy"] - 0.01, row["accuracy"] + 0.01], "trials": 1}
        | {"seeds": SEEDS, "p_best": p_best}
        for row, p_best in zip(finalists[::-1].to_dict("records"), (0.9, 0.1), strict=True)
    ]
    untried = trials.iloc[2]
    entries.append(
        {key: untried[key] for key in ("divergence", "trial", "accuracy", "work_s")}
        | {"retimed_s": None, "interval": None, "trials": 1, "seeds": 0, "p_best": None}
    )
    best = trials.iloc[-1].to_dict()
    picked = {key: best[key] for key in ("divergence", "trial", "number", "accuracy", "work_s")}
    return {
        **picked,
        "interval": entries[0]["interval"],
        "wall_s": best["wall_s"],
        "retimed_s": best["retimed_s"],
        "rule": "fastest-within=0.01",
        "reason": "it is the most accurate, and none within 1 point of it is cheaper",
        "tie": False,
        "tied": [],
        "seeds": SEEDS,
        "p_best": {entry["divergence"]: entry["p_best"] for entry in entries[:2]},
        "provisional": False,
        "best_per_divergence": entries,
    }
