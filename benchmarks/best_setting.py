"""ADIW's best setting, found by the project's own search, against DIW with the exact solver.

    python benchmarks/best_setting.py search   # hours: a search for each shift, then 3 seeds
    python benchmarks/best_setting.py table

For each of five shifts of Fashion-MNIST ``adiw-tune search`` runs 16 trials of 8 epochs over
divergence, steps, step size, start, warm-up and bandwidth, and the most accurate on the select
split is picked. That configuration is then trained on three seeds that the search has not seen, and
the test split is read once, at the end of each run. Exact DIW, with the defaults on the same seeds,
is the row ``diw`` of accuracy.jsonl. The search chooses by 2,000 select rows: of the task's 500 the
best of 16 looks two points better than it is. Runs append to best_setting.jsonl; what stands there
is not run again.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from accuracy import by_cell
from provenance import append_result, commit, machine, results_in

from adiw_tune.decide import decide, parse_policy
from adiw_tune.record.record import SearchRecord
from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_suffix(".jsonl")
SHIFTS = ("pair:0.45", "class-prior:100", "symmetric:0.5", "pair:0.3", "symmetric:0.4")
SEEDS = (0, 1, 2)
SEARCH_SEED = 100
SPACE = """
def space(trial):
    values = {{
        "task": "fashion-mnist",
        "shift": "{shift}",
        "select_size": 2000,
        "reference_weight": 0.0,
        "divergence": trial.suggest_categorical(
            "divergence", ["mmd", "kl", "squared", "wasserstein", "energy", "pearson", "auto"]
        ),
        "steps": trial.suggest_int("steps", 1, 20, log=True),
        "step_size": trial.suggest_float("step_size", 0.1, 1.5, log=True),
        "warm_start": trial.suggest_categorical("warm_start", ["off", "memory", "decay"]),
        "warmup_epochs": trial.suggest_int("warmup_epochs", 1, 2),
    }}
    if values["divergence"] in ("mmd", "kl", "squared", "pearson"):
        values["bandwidth"] = trial.suggest_float("bandwidth", 0.3, 3.0, log=True)
    return values
"""


def finished() -> list[dict[str, Any]]:
    return results_in(RESULTS)


def append(row: dict[str, Any]) -> None:
    append_result(RESULTS, {**row, "commit": commit(), "machine": machine()})


def picked(shift: str, trials: int) -> dict[str, Any]:
    """The configuration that a search of this shift picks."""
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.py"
        space.write_text(SPACE.format(shift=shift))
        command = "-m adiw_tune.cli search space.py --name best --concurrency 1"
        options = f"--trials {trials} --seed {SEARCH_SEED} --seeds 0 --no-early-stopping"
        subprocess.run([sys.executable, *command.split(), *options.split()], cwd=folder, check=True)
        found = SearchRecord.open(Path(folder) / "adiw-searches", "best").history().trials()
    decision = decide(found, parse_policy("best-under=1000000"))
    configs = dict(zip(found["trial"], found["config"], strict=True))
    return {"config": configs[decision.trial], "select": decision.value, "trials": trials}


def tested(config: dict[str, Any]) -> float:
    training = TrainingRun(TrialConfig.from_mapping(config))
    while not training.finished:
        training.run_epoch()
    return training.metrics(training.splits.test)["accuracy"]


def search(shifts: list[str], trials: int) -> None:
    torch.set_num_threads(1)
    for shift in shifts:
        rows = [row for row in finished() if row["shift"] == shift]
        pick = next((row for row in rows if row["what"] == "pick"), None)
        if pick is None:
            pick = {"what": "pick", "shift": shift, **picked(shift, trials)}
            append(pick)
        for seed in SEEDS:
            if not any((row["what"], row.get("seed")) == ("adiw", seed) for row in rows):
                accuracy = tested({**pick["config"], "select_size": None, "seed": seed})
                append({"what": "adiw", "shift": shift, "seed": seed, "test": accuracy})


def table() -> None:
    tests, picks = defaultdict(list), {}
    for row in finished():
        if row["what"] == "pick":
            picks[row["shift"]] = row["config"]
        else:
            tests[row["shift"]].append(100 * row["test"])
    exact = by_cell()
    print("| shift | picked | adiw | exact DIW | difference |")
    print("|---|---|---|---|---|")
    names = ("divergence", "steps", "step_size", "warm_start", "bandwidth", "warmup_epochs")
    for shift, config in picks.items():
        setting = ", ".join(
            _short(name, config[name]) for name in names if config[name] is not None
        )
        if len(tests[shift]) == len(SEEDS):
            adiw = mean(tests[shift])
            diw = exact[shift.replace(":", " "), "diw"]
            beside = "- | -"
            if len(diw) == len(SEEDS):
                beside = f"{100 * mean(diw):.1f} | {adiw - 100 * mean(diw):+.1f}"
            print(f"| {shift} | {setting} | {adiw:.1f} | {beside} |")
    rows = finished()
    print(f"\nCommits {', '.join(sorted({row['commit'] for row in rows}))}.", end=" ")
    print(f"{'; '.join(sorted({row['machine'] for row in rows}))}.")


def _short(name: str, value: Any) -> str:
    number = f"{value:.2g}" if isinstance(value, float) else str(value)
    return number if isinstance(value, str) else f"{name} {number}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["search", "table"])
    parser.add_argument("--shifts", nargs="+", choices=SHIFTS, default=list(SHIFTS))
    parser.add_argument("--trials", type=int, default=16)
    given = parser.parse_args()
    search(given.shifts, given.trials) if given.what == "search" else table()
