"""Random trials of the digits space, trained in full: a table to replay schedulers on.

    nice python benchmarks/recorded.py --trials 300      # about half an hour alone; may be stopped
    adiw-tune replay benchmarks/recorded/digits.jsonl

Optuna's RandomSampler draws the trials. The table is written as the event log of a search that cuts
nothing: session, trial, setup, epoch and end. Of a configuration it holds what was drawn and what
is no default. Accuracies have 4 decimals, seconds 4 digits. One that was begun is gone on with.
"""

import argparse
import itertools
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import torch
from provenance import commit, machine

from adiw_tune.record.log import EventLog
from adiw_tune.search.space import SpaceFile
from adiw_tune.training import StepCost, TrainingRun, TrialConfig

SPACE = Path(__file__).parent.parent / "search_spaces" / "digits.py"
TABLE = Path(__file__).with_suffix("") / "digits.jsonl"
SEED = 0


def drawn() -> Iterator[dict[str, Any]]:
    """The configurations, the same each time and without end."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    point, defaults = SpaceFile(SPACE, SEED), TrialConfig.defaults()
    while True:
        trial = study.ask()
        values = point(trial)
        yield {n: v for n, v in values.items() if n in trial.params or v != defaults[n]}


def session() -> dict[str, Any]:
    packages = {name: version(name) for name in ("torch", "numpy", "optuna")}
    about = {"commit": commit(), "python": platform.python_version(), "machine": machine()}
    return {"event": "session", "packages": packages, **about}


def course(number: int, config: dict[str, Any], plain_s: float | None) -> Iterator[dict[str, Any]]:
    """The events of one trial. A plain step is the same in all of this space: ``plain_s``."""
    trial = {"trial": f"t{number}"}
    yield {"event": "trial", **trial, "number": number, "kind": "search", "config": config}
    cost = TrainingRun(TrialConfig.from_mapping(config)).calibrate()
    cost = StepCost(plain_s or four_digits(cost.plain_s), four_digits(cost.ratio))
    yield {"event": "setup", **trial, "device": "cpu", **cost.as_dict()}
    run = TrainingRun(TrialConfig.from_mapping(config), step_cost=cost)
    while not run.finished:
        report = run.run_epoch()
        reached = {
            "accuracy": round(report.metrics["accuracy"], 4),
            "work_s": four_digits(run.work_s or 0),
        }
        yield {"event": "epoch", **trial, "epoch": report.epoch, **reached}
    yield {"event": "end", **trial, "status": "finished", **reached}


def four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def append(events: list[dict[str, Any]]) -> None:
    """All at once, so that a table never ends within a trial."""
    with TABLE.open("a") as file:
        file.write("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))


def record(trials: int) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    before = list(EventLog(TABLE))
    done = sum(event["event"] == "end" for event in before)
    plain_s = next((event["plain_s"] for event in before if event["event"] == "setup"), None)
    append([session()])
    for number, config in itertools.islice(enumerate(drawn()), done, trials):
        events = list(course(number, config, plain_s))
        plain_s = events[1]["plain_s"]
        append(events)
        print(f"{number + 1} of {trials}: {events[-1]}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=300)
    torch.set_num_threads(1)
    record(parser.parse_args().trials)
