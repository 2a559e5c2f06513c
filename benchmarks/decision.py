"""Does a search's answer deserve trust? Races over paired seeds, simulated on recorded curves.

    python benchmarks/decision.py record      # about an hour: appends to decision.jsonl
    python benchmarks/decision.py simulate    # the table of docs/results.md, in a minute

``record`` trains four divergences over many paired seeds on Fashion-MNIST under two shifts, 4 epochs
each, and keeps the accuracy on 5,000 select rows after every epoch. Runs that stand in the file are
skipped, so that it can be stopped and gone on with.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from provenance import commit, machine

from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_name("decision.jsonl")
SHIFTS = ("symmetric:0.5", "pair:0.45")
DIVERGENCES = ("mmd", "kl", "energy", "pearson")
SEEDS = range(100, 116)


def recorded() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def record() -> None:
    torch.set_num_threads(1)
    for shift in SHIFTS:
        for seed in SEEDS:
            for divergence in DIVERGENCES:
                done = {(one["shift"], one["divergence"], one["seed"]) for one in recorded()}
                if (shift, divergence, seed) in done:
                    continue
                run = TrainingRun(
                    TrialConfig(
                        task="fashion-mnist",
                        shift=shift,
                        divergence=divergence,
                        epochs=4,
                        select_size=5000,
                        seed=seed,
                    )
                )
                curve = []
                while not run.finished:
                    curve.append(run.run_epoch().accuracy)
                result = {
                    "shift": shift,
                    "divergence": divergence,
                    "seed": seed,
                    "accuracy": curve,
                    "commit": commit(),
                    "machine": machine(),
                }
                with RESULTS.open("a") as file:
                    file.write(json.dumps(result) + "\n")
                print(json.dumps(result), file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["record"])
    given = parser.parse_args()
    {"record": record}[given.what]()
