"""Does a search's answer deserve trust? Races over paired seeds, simulated on recorded curves.

    python benchmarks/decision.py record      # four hours: appends to decision.jsonl
    python benchmarks/decision.py simulate    # 15 minutes: prints the tables of docs/results.md
    python benchmarks/decision.py gain        # 15 minutes: whether weighting is worth it

``record`` trains four divergences and three baselines over 16 paired seeds on Fashion-MNIST under
two shifts, 4 epochs each, and keeps the accuracy on 5,000 select rows after every epoch. Runs that
stand in the file are skipped, so that it can be stopped and gone on with; ``--shift`` limits it.

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

``gain`` does the same with the baselines, for the answer whether weighting is worth it. Planted is
1 point for all divergences, for one of them alone, for one of the baselines, or for nobody. The
baselines are

    equal     in mean; where nobody gains, each seed's seven values are dealt to the seven at random
    recorded  as far apart as they were; divergences are level with the best, before what is planted
"""

import argparse
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from provenance import append_result, commit, machine, results_in

from adiw_tune.arms import BASELINES
from adiw_tune.decide import contest, decide, parse_policy, race
from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_name("decision.jsonl")
SHIFTS = ("symmetric:0.5", "pair:0.45")
DIVERGENCES = ("mmd", "kl", "energy", "pearson")
ALL = (*DIVERGENCES, *BASELINES)
SEEDS = range(100, 116)
MOST_SEEDS = (3, 5, 10, 15)
RACES = 400
GAIN = 0.01
POLICY = parse_policy("best-under=2")


def trials_of(arms: tuple[str, ...]) -> pd.DataFrame:
    """One trial of each arm, all alike."""
    names = {"trial": arms, "number": range(len(arms)), "divergence": arms, "status": "finished"}
    alike = {"accuracy": 0.8, "work_s": 1.0, "wall_s": 1.0, "retimed_s": np.nan}
    return pd.DataFrame({**names, **alike})


TRIALS = trials_of(DIVERGENCES)


def recorded() -> list[dict[str, Any]]:
    return results_in(RESULTS)


def record(shifts: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    for shift in shifts:
        for seed in SEEDS:
            for divergence in ALL:
                done = {(one["shift"], one["divergence"], one["seed"]) for one in recorded()}
                if (shift, divergence, seed) in done:
                    continue
                run = TrainingRun(
                    TrialConfig(
                        task="fashion-mnist",
                        shift=shift,
                        **settings_of(divergence),
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
                append_result(RESULTS, result)


def settings_of(arm: str) -> dict[str, Any]:
    """Divergences were recorded before they trained on the reference rows, too."""
    if arm in BASELINES:
        return {"method": arm}
    return {"divergence": arm, "reference_weight": 0.0}


def luck(shift: str, arms: tuple[str, ...] = DIVERGENCES) -> tuple[np.ndarray, float]:
    """Final accuracies [arm, seed] less each arm's mean; and the mean of all."""
    values = finals(shift, arms)
    return values - values.mean(1, keepdims=True), float(values.mean())


def finals(shift: str, arms: tuple[str, ...]) -> np.ndarray:
    """Final accuracies [arm, seed]."""
    runs = pd.DataFrame(recorded())
    runs = runs[runs["shift"] == shift]
    final = runs.assign(final=[curve[-1] for curve in runs["accuracy"]])
    final = final[final["divergence"].isin(arms)]
    table = final.pivot(index="divergence", columns="seed", values="final").dropna(axis=1)
    return table.loc[list(arms)].to_numpy()


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


# What is planted -> whether an arm is raised, by its number, in a search by its number.
PLANTED: dict[str, Callable[[int, int], bool]] = {
    "all divergences": lambda arm, number: arm < len(DIVERGENCES),
    "one divergence": lambda arm, number: arm == number % len(DIVERGENCES),
    "one baseline": lambda arm, number: arm == len(DIVERGENCES) + number % len(BASELINES),
    "nobody": lambda arm, number: False,
}


def run_search(values: np.ndarray, most: int) -> pd.DataFrame:
    """The reruns of a finale over at most ``most`` seeds, as a search runs it."""
    rows: list[tuple[Any, ...]] = []
    columns = ["trial", "divergence", "seed", "accuracy", "work_s"]
    arms, wanted = dict(zip(ALL, ALL, strict=True)), list(ALL)
    for seed in range(most):
        rows += [(one, one, seed, values[ALL.index(one), seed], 1.0) for one in wanted]
        reruns = pd.DataFrame(rows, columns=columns)
        racing = race(reruns, list(ALL), POLICY)
        contested = contest(reruns, list(ALL), arms, POLICY.metric)
        wanted = [one for one in ALL if one in contested or (len(racing) > 1 and one in racing)]
        if not wanted:
            break
    return pd.DataFrame(rows, columns=columns)


def answers(shift: str, equal: bool, name: str, most: int) -> pd.DataFrame:
    """A row per search: the answer, how many runs it took, whether the interval holds the truth."""
    residuals, _ = luck(shift, ALL)
    means = finals(shift, ALL).mean(1)
    best = means[len(DIVERGENCES) :].max()
    means[: len(ALL) if equal else len(DIVERGENCES)] = best
    rng, table, rows = np.random.default_rng(0), trials_of(ALL), []
    for number in range(RACES):
        drawn = residuals[:, rng.integers(residuals.shape[1], size=most)]
        if equal and name == "nobody":
            drawn = rng.permuted(drawn, axis=0)
        gains = [GAIN * PLANTED[name](arm, number) for arm in range(len(ALL))]
        true = means + gains
        reruns = run_search(true[:, None] + drawn, most)
        decision = decide(table, POLICY, reruns)
        truth = true[ALL.index(decision.gain_of)] - true[len(DIVERGENCES) :].max()
        low, high = decision.gain_interval
        rows.append((decision.worth_it, len(reruns), low <= truth <= high))
    return pd.DataFrame(rows, columns=["answer", "runs", "held"])


def gain() -> None:
    print(f"{RACES} searches a row; commit {commit()}; {machine()}\n")
    print(
        "| shift | baselines | raised by 1 point | seeds at most | yes | undecided | no "
        "| runs | intervals hold |"
    )
    print("|---" * 9 + "|")
    for shift in dict.fromkeys(run["shift"] for run in recorded() if run["divergence"] == "erm"):
        for equal, name, most in product((False, True), PLANTED, MOST_SEEDS[:3]):
            found = answers(shift, equal, name, most)
            share = found["answer"].value_counts(normalize=True)
            cells = [f"{share.get(one, 0.0):.1%}" for one in ("yes", "undecided", "no")]
            runs = f"{found['runs'].mean():.1f} / {most * len(ALL)}"
            where = [shift, "equal" if equal else "recorded", name, str(most)]
            row = [*where, *cells, runs, f"{found['held'].mean():.1%}"]
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["record", "simulate", "gain"])
    parser.add_argument("--shift", nargs="+", choices=SHIFTS, default=SHIFTS)
    given = parser.parse_args()
    if given.what == "record":
        record(tuple(given.shift))
    else:
        {"simulate": simulate, "gain": gain}[given.what]()
