"""How time and memory of the weights of one mini-batch grow with it.

    python benchmarks/weight_scaling.py run     # minutes on one core; writes weight_scaling.json
    python benchmarks/weight_scaling.py table   # prints the tables from weight_scaling.json

Losses, 5 steps, uncompiled, one CPU thread; each measurement in a process of its own, forked from
one that has everything loaded. Memory is by how much the step raises the highest resident size.
Beyond ``HELD_ENTRIES`` a kernel matrix is not held but computed anew in blocks at each use; the
error is the largest difference of a weight from that with the matrix held.
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from provenance import commit, has_qp, machine
from torch import Tensor

from adiw_tune.divergences import DIVERGENCES, MMD, kernels
from adiw_tune.weights import FeasibleSet, ImportanceWeighter
from adiw_tune.weights.exact import solve_mmd_exactly

RESULTS = Path(__file__).with_name("weight_scaling.json")
SIZES = [64, 128, 256, 512, 1024, 2048, 4096]
QP, LARGEST_QP = "exact QP", 2048
REFERENCE = 256


def weigh(name: str, n: int, m: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(n, generator=generator).exp()
    target = (0.7 * torch.randn(m, generator=generator) - 0.3).exp()
    if name == QP:
        return solve_mmd_exactly(MMD().prepare(source, target), FeasibleSet())
    return ImportanceWeighter(n, name)(source, target, torch.arange(n))


def measure(name: str, n: int, m: int) -> dict[str, float]:
    weigh(name, 8, 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    weigh(name, n, m)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: list[float] = []
    while len(seconds) < 3 or (sum(seconds) < 0.5 and len(seconds) < 50):
        begin = time.perf_counter()
        weigh(name, n, m)
        seconds.append(time.perf_counter() - begin)
    return {"milliseconds": 1000 * statistics.median(seconds), "mib": (peak - before) / 1024}


def error(name: str, n: int, m: int) -> float:
    recomputed = weigh(name, n, m)
    kernels.HELD_ENTRIES = n * max(n, m)
    return float((weigh(name, n, m) - recomputed).abs().max())


def in_a_process_of_its_own(function: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def run() -> None:
    torch.set_num_threads(1)
    rows = []
    for name in [*DIVERGENCES, *([QP] if has_qp() else [])]:
        for n in SIZES:
            for m in sorted({REFERENCE, n}):
                if name == QP and n > LARGEST_QP:
                    continue
                row = {"name": name, "n": n, "m": m}
                row |= in_a_process_of_its_own(measure, name, n, m)
                if n * max(n, m) > kernels.HELD_ENTRIES:
                    row["error"] = in_a_process_of_its_own(error, name, n, m)
                print(json.dumps(row), file=sys.stderr, flush=True)
                rows.append(row)
    results = {"commit": commit(), "machine": machine(), "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    table()


def table() -> None:
    results = json.loads(RESULTS.read_text())
    for title, equal in ((f"m = {REFERENCE} reference rows", False), ("m = n", True)):
        print(f"\nMilliseconds / MiB, {title}:\n")
        print(f"| | {' | '.join(f'n = {n}' for n in SIZES)} | error at {SIZES[-1]} |")
        print("|---" * (len(SIZES) + 2) + "|")
        for name in [*DIVERGENCES, QP]:
            found = {
                row["n"]: row
                for row in results["rows"]
                if row["name"] == name and row["m"] == (row["n"] if equal else REFERENCE)
            }
            cells = [
                f"{found[n]['milliseconds']:.3g} / {found[n]['mib']:.0f}" if n in found else "-"
                for n in SIZES
            ]
            last = found.get(SIZES[-1], {}).get("error")
            cells.append("-" if last is None else f"{last:.1e}")
            print(f"| {name} | {' | '.join(cells)} |")
    print(f"\nCommit {results['commit']}, {results['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    run() if parser.parse_args().what == "run" else table()
