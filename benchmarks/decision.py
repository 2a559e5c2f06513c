"""Does a search's answer deserve trust? Races over paired seeds, simulated on recorded curves.

    python benchmarks/decision.py record      # two hours: appends to decision.jsonl
    python benchmarks/decision.py simulate    # 15 minutes: prints the tables of docs/results.md

``record`` trains four divergences over 16 paired seeds on Fashion-MNIST under two shifts, 4 epochs
each, and keeps the accuracy on 5,000 select rows after every epoch. Runs that stand in the file are
skipped, so that it can be stopped and gone on with.

``simulate`` takes from these the luck: each divergence's final accuracies less their mean, [4, 16].
A simulated seed is one of the 16 columns, drawn with replacement, so that what a seed does to all
and what runs of it do not share stay as they were measured. On that it plants

    a winner        1 point is added to one of the four, each in turn; the others are equal in mean,
                    and vary each as it did
    identical arms  each seed's four values are dealt to the four at random: equal in all respects

and asks ``race`` and ``decide`` as a search does: seeds are run for those still racing, up to a
number; the policy is best-under, all cost the same, so that accuracy alone decides. "Plainly" is a
planted winner that is picked and not called a tie. True means are known: coverage is the share of
intervals, of all four divergences, that hold theirs.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from provenance import commit, machine

from adiw_tune.decide import decide, parse_policy, race
from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_name("decision.jsonl")
SHIFTS = ("symmetric:0.5", "pair:0.45")
DIVERGENCES = ("mmd", "kl", "energy", "pearson")
SEEDS = range(100, 116)
MOST_SEEDS = (3, 5, 10, 15)
RACES = 400
GAIN = 0.01
POLICY = parse_policy("best-under=2")
TRIALS = pd.DataFrame(
    {
        "trial": DIVERGENCES,
        "number": range(len(DIVERGENCES)),
        "divergence": DIVERGENCES,
        "status": "finished",
        "accuracy": 0.8,
        "work_s": 1.0,
        "wall_s": 1.0,
        "retimed_s": np.nan,
    }
)


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
                        reference_weight=0.0,
                        epochs=4,
                        select_size=5000,
                        seed=seed,
                    )
                )
                curve = []
                while not run.finished:
                    curve.append(run.run_epoch().metrics["accuracy"])
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


def luck(shift: str) -> tuple[np.ndarray, float]:
    """Final accuracies [divergence, seed] less each divergence's mean; and the mean of all."""
    runs = pd.DataFrame(recorded())
    runs = runs[runs["shift"] == shift]
    final = runs.assign(final=[curve[-1] for curve in runs["accuracy"]])
    table = final.pivot(index="divergence", columns="seed", values="final").dropna(axis=1)
    values = table.loc[list(DIVERGENCES)].to_numpy()
    return values - values.mean(1, keepdims=True), float(values.mean())


def planted(luck: np.ndarray, rng: np.random.Generator, winner: int) -> np.ndarray:
    """[divergence, seed]: all seeds that a race may need."""
    drawn = luck[:, rng.integers(luck.shape[1], size=max(MOST_SEEDS))].copy()
    drawn[winner] += GAIN
    return drawn


def identical(luck: np.ndarray, rng: np.random.Generator, _: int) -> np.ndarray:
    drawn = luck[:, rng.integers(luck.shape[1], size=max(MOST_SEEDS))]
    return rng.permuted(drawn, axis=0)


def run_race(values: np.ndarray, most: int) -> tuple[pd.DataFrame, int]:
    """The reruns of a race over at most ``most`` seeds, and how many there were."""
    rows: list[tuple[Any, ...]] = []
    racing = list(DIVERGENCES)
    columns = ["trial", "divergence", "seed", "accuracy", "work_s"]
    for seed in range(most):
        rows += [(one, one, seed, values[DIVERGENCES.index(one), seed], 1.0) for one in racing]
        racing = race(pd.DataFrame(rows, columns=columns), list(DIVERGENCES), POLICY)
        if len(racing) == 1:
            break
    return pd.DataFrame(rows, columns=columns), len(rows)


def simulated(make: Any, shift: str, most: int) -> pd.DataFrame:
    """A row per race: who won, was it a tie, how many runs, how many intervals hold."""
    residuals, mean = luck(shift)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(RACES):
        winner = number % len(DIVERGENCES)
        reruns, runs = run_race(mean + make(residuals, rng, winner), most)
        decision = decide(TRIALS, POLICY, reruns)
        truth = dict.fromkeys(DIVERGENCES, mean)
        if make is planted:
            truth[DIVERGENCES[winner]] += GAIN
        held = [
            best["interval"][0] <= truth[best["divergence"]] <= best["interval"][1]
            for best in decision.best_per_divergence
        ]
        picked = decision.divergence == DIVERGENCES[winner]
        rows.append((picked, picked and not decision.tie, decision.tie, runs, np.mean(held)))
    return pd.DataFrame(rows, columns=["picked", "plainly", "tie", "runs", "held"])


def simulate() -> None:
    print(f"{RACES} races a row; commit {commit()}; {machine()}\n")
    print(
        "| shift | seeds recorded | a pair's deviation | seeds at most | planted winner picked "
        "| plainly | runs, racing / not | identical: a tie | intervals hold |"
    )
    print("|---" * 9 + "|")
    for shift in dict.fromkeys(run["shift"] for run in recorded()):
        residuals, _ = luck(shift)
        pairs = np.triu_indices(len(DIVERGENCES), 1)
        deviation = (residuals[pairs[0]] - residuals[pairs[1]]).std(1, ddof=1)
        for most in MOST_SEEDS:
            one, same = (simulated(make, shift, most) for make in (planted, identical))
            print(
                f"| {shift} | {residuals.shape[1]} "
                f"| {100 * deviation.min():.1f} to {100 * deviation.max():.1f} points | {most} "
                f"| {one['picked'].mean():.1%} | {one['plainly'].mean():.1%} "
                f"| {one['runs'].mean():.1f} / {most * len(DIVERGENCES)} "
                f"| {same['tie'].mean():.1%} "
                f"| {one['held'].mean():.1%}, identical {same['held'].mean():.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    commands = {"record": record, "simulate": simulate}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=list(commands))
    given = parser.parse_args()
    commands[given.what]()
