"""Accuracy of each method with the project's defaults: Fashion-MNIST, LeNet, pair noise 0.45.

    python benchmarks/accuracy.py run     # about 20 minutes on one core; writes accuracy.json
    python benchmarks/accuracy.py table   # prints the table of docs/results.md from accuracy.json

Set-up: LeNet, Adam 1e-3, mini-batches of 256, 8 epochs of which the first has w = 1; 500 reference
and 500 select rows, kept out of training; test accuracy after the last epoch. One process, one CPU
thread. ``train_seconds`` is of a run on a machine that may have had other work: no timing claim.
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

import torch

from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_name("accuracy.json")
SETTING = {"task": "fashion-mnist", "shift": "pair:0.45"}
RUNS = [
    {"method": "erm"},
    {"method": "clean-only"},
    {"divergence": "mmd"},
    {"divergence": "kl"},
    {"divergence": "squared"},
    {"divergence": "wasserstein"},
    {"method": "diw"},
    {"divergence": "mmd", "warm_start": "off"},
    {"divergence": "kl", "warm_start": "off"},
    {"divergence": "wasserstein", "warm_start": "off"},
    {"divergence": "mmd", "warm_start": "memory"},
    {"divergence": "kl", "warm_start": "memory"},
    {"divergence": "wasserstein", "warm_start": "memory"},
]


def run(seed: int) -> None:
    torch.set_num_threads(1)
    results = {"commit": _commit(), "machine": _machine(), "seed": seed, "runs": []}
    for changes in RUNS:
        config = TrialConfig.from_mapping({**SETTING, **changes, "seed": seed})
        training = TrainingRun(config)
        while not training.finished:
            report = training.run_epoch()
        row = {
            **changes,
            "test": training.accuracy(training.splits.test),
            "select": report.accuracy,
            "train_seconds": report.train_seconds,
        }
        print(json.dumps(row), file=sys.stderr, flush=True)
        results["runs"].append(row)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def table() -> None:
    results = json.loads(RESULTS.read_text())
    print("| method | divergence | warm start | test | select |")
    print("|---|---|---|---|---|")
    for row in results["runs"]:
        weighted = row.get("method", "adiw") in ("adiw", "diw")
        cells = [
            row.get("method", "adiw"),
            row.get("divergence", "mmd") if weighted else "-",
            row.get("warm_start", "decay (default)") if "divergence" in row else "-",
            f"{row['test']:.4f}",
            f"{row['select']:.4f}",
        ]
        print(f"| {' | '.join(cells)} |")
    print(f"\nSeed {results['seed']}, commit {results['commit']}, {results['machine']}.")


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=RESULTS.parent
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../adiw_tune")
    return git("rev-parse", "--short", "HEAD") + (" with uncommitted changes" if changed else "")


def _machine() -> str:
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{cpu}, one CPU thread, torch {torch.__version__}, Python {platform.python_version()}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run(arguments.seed) if arguments.what == "run" else table()
