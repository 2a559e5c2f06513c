"""What the weights of one mini-batch cost: every divergence beside DIW's exact QP.

    python benchmarks/weight_step.py run     # minutes on one core; writes weight_step.json
    python benchmarks/weight_step.py table   # prints the table from weight_step.json

256 training and 256 reference rows, 5 steps, everything included: bandwidth, kernel, memory. One
process, one CPU thread; all contestants run once in each of many rounds, and the medians over the
rounds are compared. The exact QP is there twice: as this package solves it (sparse bounds), and
with the dense bounds of the published DIW, whose Python loop for the bandwidth is vectorised in
both. With a GPU also the time of the step on it, by CUDA events, and of the QP with its transfers.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from provenance import commit, has_qp, machine
from torch import Tensor

from adiw_tune.divergences import DIVERGENCES, MMD
from adiw_tune.weights import FeasibleSet, ImportanceWeighter
from adiw_tune.weights.exact import solve_mmd_exactly

RESULTS = Path(__file__).with_name("weight_step.json")
SIZE = 256
INPUTS = {"losses": None, "features": 94}  # columns: 84 of LeNet's last layer and 10 of the label
QP, PUBLISHED = "exact QP", "exact QP, dense bounds"


def samples(columns: int | None, device: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (2 * SIZE,) if columns is None else (2 * SIZE, columns)
    draw = torch.randn(shape, generator=generator)
    source, target = draw[:SIZE], 0.7 * draw[SIZE:] - 0.3
    if columns is None:
        source, target = source.exp(), target.exp()
    return source.to(device), target.to(device)


def solve_as_published(source: Tensor, target: Tensor) -> Tensor:
    """The problem of :func:`adiw_tune.weights.exact.solve_mmd_exactly` with dense bounds."""
    from cvxopt import matrix, solvers

    objective = MMD().prepare(source, target)
    kernel = objective.kernel.double().cpu().numpy()
    solution = solvers.qp(
        matrix(kernel + 1e-10 * SIZE * np.eye(SIZE)),
        matrix(-SIZE * objective.mean_to_target.double().cpu().numpy()),
        matrix(np.vstack([-np.eye(SIZE), np.eye(SIZE)])),
        matrix(np.concatenate([np.zeros(SIZE), np.full(SIZE, FeasibleSet().cap)])),
        matrix(np.ones((1, SIZE))),
        matrix(float(SIZE)),
        options={"show_progress": False},
    )
    w = torch.from_numpy(np.array(solution["x"]).ravel()).to(source)
    return FeasibleSet().project(w)


def contestants(source: Tensor, target: Tensor) -> dict[str, Callable[[], Tensor]]:
    index = torch.arange(SIZE, device=source.device)
    steps: dict[str, Callable[[], Tensor]] = {}
    if has_qp():
        steps[QP] = lambda: solve_mmd_exactly(MMD().prepare(source, target), FeasibleSet())
        steps[PUBLISHED] = lambda: solve_as_published(source, target)
    for name in DIVERGENCES:
        for compiled in (False, True):
            weighter = ImportanceWeighter(SIZE, name, compiled=compiled).to(source.device)
            label = f"{name}, compiled" if compiled else name
            steps[label] = lambda weighter=weighter: weighter(source, target, index)
    return steps


def milliseconds_on_host(steps: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """The median time of each until its result is there, in a new order in each round.

    Whatever comes after a QP finds its caches emptied.
    """
    taken: dict[str, list[float]] = {label: [] for label in steps}
    order = random.Random(0)
    for turn in range(rounds + 5):
        for label, step in order.sample(list(steps.items()), len(steps)):
            begin = time.perf_counter()
            result = step()
            if result.is_cuda:
                torch.cuda.synchronize()
            if turn >= 5:  # the first compile and warm up
                taken[label].append(1000 * (time.perf_counter() - begin))
    return {label: statistics.median(times) for label, times in taken.items()}


def milliseconds_on_device(steps: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, float]:
    """The median time between two events around each step, the device kept busy in between."""
    taken: dict[str, list[float]] = {label: [] for label in steps}
    filler = torch.ones(4096, 4096, device="cuda")
    for _ in range(rounds):
        for label, step in steps.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.mm(filler, filler)  # so that the step's kernels queue up behind it
            begin.record()
            step()
            end.record()
            torch.cuda.synchronize()
            taken[label].append(begin.elapsed_time(end))
    return {label: statistics.median(times) for label, times in taken.items()}


def run(rounds: int) -> None:
    torch.set_num_threads(1)
    results = {"commit": commit(), "machine": machine(), "rounds": rounds, "milliseconds": {}}
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for kind, columns in INPUTS.items():
            steps = contestants(*samples(columns, device))
            results["milliseconds"][f"{kind} on {device}"] = milliseconds_on_host(steps, rounds)
            if device == "cuda":
                on_device = {label: step for label, step in steps.items() if "QP" not in label}
                results["milliseconds"][f"{kind} on {device}, device time"] = (
                    milliseconds_on_device(on_device, rounds)
                )
            print(kind, device, "done", file=sys.stderr, flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    table()


def table() -> None:
    results = json.loads(RESULTS.read_text())
    for setting, times in results["milliseconds"].items():
        qp, published = times.get(QP), times.get(PUBLISHED)
        print(f"\nWeights from {setting}:\n")
        print("| | ms | share of the exact QP | of the one with dense bounds |")
        print("|---|---|---|---|")
        for label, taken in times.items():
            shares = [f"1/{whole / taken:.1f}" if whole else "-" for whole in (qp, published)]
            print(f"| {label} | {taken:.3f} | {' | '.join(shares)} |")
    print(f"\nMedians of {results['rounds']} rounds, commit {results['commit']},", end=" ")
    print(f"{results['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    run(arguments.rounds) if arguments.what == "run" else table()
