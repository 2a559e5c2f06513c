"""A search that never ran, and what MLflow holds of it."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from adiw_tune.metrics import ACCURACY, Metric
from adiw_tune.tracking.outcome import Outcome
from adiw_tune.tracking.runs import SearchRuns
from adiw_tune.tracking.ui import ServedUi

_ARMS = ["erm", "diw", "mmd", "kl", "squared", "wasserstein", "energy"]
_START = 1_800_000_000.0
EPOCHS = 3
SEEDS = 2
FAILED, STOPPED, PRUNED = "t3", "t4", "t5"  # the fates of these; the others finished
RUNG = 2  # where PRUNED was cut
COMMAND = "adiw-tune train --from digits"
SPENT = ("work_s", "wall_s", "loss")
PARAMETERS = {"samples": 8, "space": "small.py"}

History = dict[str, dict[str, list[tuple[int, int, float]]]]


def expected_history(events: list[dict[str, Any]], metric: Metric = ACCURACY) -> History:
    """Return trial -> metric -> sorted (step, timestamp, value), as the events have them."""
    history: History = {event["trial"]: {} for event in events if event["event"] == "trial"}
    for event in events:
        if event["event"] == "epoch":
            values = {**event["metrics"], **{name: event[name] for name in SPENT}}
            for name, value in values.items():
                point = (event["epoch"], int(event["time"] * 1000), value)
                history[event["trial"]].setdefault(name, []).append(point)
    for event in events:
        epochs = history[event["trial"]] if event["event"] == "end" else {}
        if epochs:  # here every trial is the best at its last epoch
            time = int(event["time"] * 1000)
            step, _, best = max(epochs[metric.name], key=lambda point: metric.score(point[2]))
            work_s = {at: value for at, _, value in epochs["work_s"]}[step]
            for name, value in ((metric.name, best), ("epoch", step), ("work_s", work_s)):
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
        """Return the outcome if every trial had this status and no value of the metric."""
        trials = self.outcome.trials.assign(status=status, on_front=False)
        trials[self.outcome.metric.name] = None
        return replace(
            self.outcome,
            trials=trials,
            decision=None,
            reruns=self.outcome.reruns.head(0),
            curves=self.outcome.curves.head(0),
            importance=self.outcome.importance.head(0),
            hypervolume=[],
        )


def make_search(count: int = 8, metric: Metric = ACCURACY) -> FakeSearch:
    """Return a search of `count` trials, at least 6, whose last two are the front.

    Where less of the metric is better, it is what is lacking of the accuracy.
    """
    rng = random.Random(count)
    events = [{"event": "session", "packages": {}, "commit": None, "time": _START}]
    rows = []
    for number in range(count):
        some = _search_trial(number, rng, metric)
        events += some
        rows.append(_row(number, some, metric))
    trials = pd.DataFrame(rows)
    trials["on_front"] = trials["number"].isin([count - 2, count - 1])
    finalists = trials[trials["on_front"]]
    reruns = [
        _rerun(row, seed, metric) for row in finalists.to_dict("records") for seed in range(SEEDS)
    ]
    for rerun in reruns:
        events += rerun
    decision = _decision(trials, finalists, metric)
    importance = {
        "parameter": ["learning_rate", "divergence", "steps"],
        metric.name: [0.6, 0.3, 0.1],
        "work_s": [0.05, 0.25, 0.7],
    }
    outcome = Outcome(
        trials=trials,
        decision=decision,
        reruns=_reruns(reruns, metric),
        curves=_curves(events, trials, metric),
        importance=pd.DataFrame(importance),
        hypervolume=[0.1 * (k + 1) for k in range(int((trials["status"] == "finished").sum()))],
        winner_command=COMMAND,
        metric=metric,
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


def _search_trial(number: int, rng: random.Random, metric: Metric) -> list[dict[str, Any]]:
    trial, arm = f"t{number}", _ARMS[number % len(_ARMS)]
    accuracy, work_s = 0.7 + 0.02 * min(number, 12), 5.0 + 4 * (number * 3 % 7)
    begun = {"trial": trial, "number": number, "kind": "search", "of": None}
    time = _START + 10 * number
    events = _training(begun, _config(arm, rng), accuracy, work_s, time, metric)
    if trial == PRUNED:
        del events[2 + RUNG : -1]
        cut = {key: events[-2][key] for key in ("metrics", "work_s", "wall_s")}
        reason = f"cut at rung {RUNG}: 3 of 4 there are better"
        events[-1].update(status="pruned", rung=RUNG, reason=reason, **cut)
    if trial == FAILED:
        events[-1].update(status="failed", reason="weights became NaN", metrics=None)
    if trial == STOPPED:
        events[-1].update(status="stopped", reason="the budget was spent")
    return events


def _rerun(row: dict[Any, Any], seed: int, metric: Metric) -> list[dict[str, Any]]:
    begun = {"trial": f"{row['trial']}-seed{seed}", "number": row["number"], "kind": "seed"}
    config = {"method": "adiw", "divergence": row["divergence"], "seed": seed}
    accuracy = _of_accuracy(row[metric.name], metric) + 0.002 * (seed - 0.5)
    time = _START + 500 + 10 * seed
    begun = {**begun, "of": row["trial"]}
    return _training(begun, config, accuracy, row["work_s"], time, metric)


def _of_accuracy(value: float, metric: Metric) -> float:
    """The metric's value of an accuracy, and the other way round."""
    return value if metric.greater_is_better else 1 - value


def _training(
    begun: dict[str, Any],
    config: dict[str, Any],
    accuracy: float,
    work_s: float,
    time: float,
    metric: Metric,
) -> list[dict[str, Any]]:
    def metrics(accuracy: float) -> dict[str, float]:
        return {metric.name: _of_accuracy(accuracy, metric), "auroc": 0.5}

    of = {"trial": begun["trial"]}
    splits = {"reference": "aa11", "select": "bb22", "test": "cc33"}
    setup = {"event": "setup", **of, "device": "cpu", "splits": splits, "plain_s": 0.5}
    setup["versions"] = {"torch": "2.15.0", "adiw-tune": None}
    epochs = [
        {"event": "epoch", **of, "epoch": epoch, "time": time + epoch, "loss": epoch / EPOCHS}
        | {"metrics": metrics(accuracy * (epoch / EPOCHS) ** 0.2)}
        | {"work_s": work_s * epoch / EPOCHS, "wall_s": 2 * work_s * epoch / EPOCHS}
        for epoch in range(1, EPOCHS + 1)
    ]
    end = {"event": "end", **of, "status": "finished", "reason": None, "rung": None}
    last = {"metrics": metrics(accuracy), "work_s": work_s, "wall_s": 2 * work_s, "time": time + 9}
    return [
        {"event": "trial", **begun, "config": config, "time": time},
        {**setup, "ratio": 1.2, "time": time},
        *epochs,
        {**end, **last},
    ]


def _row(number: int, events: list[dict[str, Any]], metric: Metric) -> dict[str, Any]:
    begun, end = events[0], events[-1]
    config = begun["config"]
    row = {key: end[key] for key in ("trial", "status", "work_s", "wall_s", "reason")}
    row[metric.name] = (end["metrics"] or {}).get(metric.name)
    row["rung"] = end["rung"] if end["rung"] is not None else float("nan")
    row["retimed_s"] = float("nan") if number < 6 else 1.1 * end["work_s"]
    row |= {"number": number, "divergence": config["divergence"] or config["method"]}
    return row | {"epochs": len(events) - 3, "steps": config["steps"]}


def _reruns(reruns: list[list[dict[str, Any]]], metric: Metric) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": begun["of"],
            "divergence": begun["config"]["divergence"],
            "seed": begun["config"]["seed"],
            metric.name: end["metrics"][metric.name],
            "work_s": end["work_s"],
        }
        for begun, *_, end in reruns
    )


def _curves(events: list[dict[str, Any]], trials: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    of_epochs = [event for event in events if event["event"] == "epoch"]
    epochs = pd.DataFrame([{**event, **event["metrics"]} for event in of_epochs])
    curves = epochs.merge(trials[["trial", "divergence", "status"]], on="trial")
    return curves[["trial", "divergence", "status", "epoch", metric.name, "work_s"]]


def _gain(metric: Metric) -> dict[str, Any]:
    """As if the winner, which is erm, were as good as energy."""
    interval = [-0.025, 0.005]
    compared = {"gain_of": "energy", "gain_over": "erm", "gain_work_ratio": 1.8}
    amount = f"{metric.difference(-0.02)} {metric.difference_interval(interval)}"
    return {
        "baselines": ["erm"],
        "gain": -0.02,
        "gain_interval": interval,
        **compared,
        "worth_it": "no",
        "verdict": "weighting does not help here: train with erm "
        f"(weighting gains {amount} over erm at 1.8 times its work)",
    }


def _decision(trials: pd.DataFrame, finalists: pd.DataFrame, metric: Metric) -> dict[str, Any]:
    trials, finalists = (
        some.rename(columns={metric.name: "value"}) for some in (trials, finalists)
    )
    entries = [
        {key: row[key] for key in ("divergence", "trial", "value", "work_s", "retimed_s")}
        | {"interval": [row["value"] - 0.01, row["value"] + 0.01], "trials": 1}
        | {"seeds": SEEDS, "p_chosen": p_chosen}
        for row, p_chosen in zip(finalists[::-1].to_dict("records"), (0.9, 0.1), strict=True)
    ]
    untried = trials.iloc[2]
    entries.append(
        {key: untried[key] for key in ("divergence", "trial", "value", "work_s")}
        | {"retimed_s": None, "interval": None, "trials": 1, "seeds": 0, "p_chosen": None}
    )
    best = trials.iloc[-1].to_dict()
    picked = {key: best[key] for key in ("divergence", "trial", "number", "value", "work_s")}
    return {
        **picked,
        "metric": metric.name,
        "interval": entries[0]["interval"],
        "wall_s": best["wall_s"],
        "retimed_s": best["retimed_s"],
        "rule": "fastest-within=0.01",
        "reason": "it is the most accurate, and none within 1 point of it is cheaper",
        "tie": False,
        "tied": [],
        "seeds": SEEDS,
        "p_chosen": {entry["divergence"]: entry["p_chosen"] for entry in entries[:2]},
        "provisional": False,
        **_gain(metric),
        "best_per_divergence": entries,
    }


def opened(uri: str, parameters: dict[str, object] | None = None) -> SearchRuns:
    return SearchRuns.open(uri, "digits", parameters or PARAMETERS, "search-1")


def tag(uri: str, key: str) -> dict[str, str | None]:
    return {trial: run.data.tags.get(key) for trial, run in children(uri).items()}
