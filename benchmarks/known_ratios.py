"""How near weights come to density ratios that are known: by defaults, ridge and bandwidth.

    python benchmarks/known_ratios.py run     # a minute on one core; writes known_ratios.json
    python benchmarks/known_ratios.py table

The problems are those of ratio_problems.py, 256 rows on either side. The error is the mean squared
distance to the true ratio in units of that of w = 1, a mean over seeds: below 1 the weights are
better than none. The ridge of method diw and the bandwidth of features were chosen on these.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import torch
from provenance import commit, machine
from ratio_problems import FEATURES, LOSSES, Problem, error
from torch import Tensor

from adiw_tune.divergences import (
    DEFAULT_BANDWIDTHS,
    DIVERGENCES,
    MMD,
    has_bandwidth,
    make_divergence,
)
from adiw_tune.weights import FeasibleSet, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly

RESULTS = Path(__file__).with_suffix(".json")
SEEDS = range(10)
RIDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1)
BANDWIDTHS = (1.0, 0.5, 0.4, 0.3, 0.2, 0.15)
EXACT = "exact QP, ridge "
Solve = Callable[[Tensor, Tensor], Tensor]


def few_steps(divergence: str, bandwidth: float | None = None) -> Solve:
    def solve(source: Tensor, target: Tensor) -> Tensor:
        objective = make_divergence(divergence, bandwidth).prepare(source, target)
        return WeightSolver().solve(objective, torch.ones(len(source)))

    return solve


def exactly(ridge: float) -> Solve:
    return lambda z, v: solve_mmd_exactly(MMD().prepare(z, v), FeasibleSet(), ridge)


def solvers(default: float) -> dict[str, dict[str, Solve]]:
    """By bandwidth, as text, what solves; those without one stand at the ``default``."""
    kernels = [name for name in DIVERGENCES if has_bandwidth(name)]
    by_bandwidth = {f"{b:g}": {name: few_steps(name, b) for name in kernels} for b in BANDWIDTHS}
    by_bandwidth[f"{default:g}"] = {
        **{name: few_steps(name) for name in DIVERGENCES},
        **{f"{EXACT}{ridge:g}": exactly(ridge) for ridge in RIDGES},
    }
    return by_bandwidth


def mean_error(problem: Callable[[int], Problem], solve: Solve) -> float:
    errors = []
    for seed in SEEDS:
        source, target, ratio = problem(seed)
        errors.append(error(solve(source, target), ratio))
    return mean(errors)


def run() -> None:
    torch.set_num_threads(1)
    rows = [
        {
            "weights from": kind,
            "problem": name,
            "bandwidth": bandwidth,
            "errors": {what: round(mean_error(problem, how), 3) for what, how in solve.items()},
        }
        for kind, problems in (("loss", LOSSES), ("feature", FEATURES))
        for name, problem in problems.items()
        for bandwidth, solve in solvers(DEFAULT_BANDWIDTHS[kind]).items()
    ]
    result = {"commit": commit(), "machine": machine(), "seeds": len(SEEDS), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def table() -> None:
    result = json.loads(RESULTS.read_text())
    _table(result["rows"], ["problem", "bandwidth"], list(DIVERGENCES))
    ridges = {f"{EXACT}{ridge:g}": f"ridge {ridge:g}" for ridge in RIDGES}
    by_default = [row for row in result["rows"] if EXACT + "0" in row["errors"]]
    print("\nThe exact QP:\n")
    _table(by_default, ["problem", "bandwidth"], list(ridges), list(ridges.values()))
    print(f"\n{result['seeds']} seeds, commit {result['commit']}, {result['machine']}.")


def _table(
    rows: list[dict], keys: list[str], columns: list[str], heads: list[str] | None = None
) -> None:
    print(f"| {' | '.join(['weights from', *keys, *(heads or columns)])} |")
    print("|---" * (1 + len(keys) + len(columns)) + "|")
    for row in rows:
        cells = [row["weights from"], *(row[key] for key in keys)]
        cells += [f"{row['errors'][c]:.2f}" if c in row["errors"] else "-" for c in columns]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    {"run": run, "table": table}[parser.parse_args().what]()
