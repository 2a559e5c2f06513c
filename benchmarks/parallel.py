"""What two workers gain over one on this machine: ratios of paired mini-batches, in one command.

    python benchmarks/parallel.py run      # about 3 minutes; writes parallel.json
    python benchmarks/parallel.py table

Fashion-MNIST, LeNet, one CPU thread a process, gloo on one machine. In each round the same rows are
trained on by one process while the other waits, by both at once on their own, and by both together,
half of each mini-batch each:

    efficiency  = rate together / (2 rate of one)
    possible    = rate of both on their own / (2 rate of one)
    of possible = efficiency / possible

Two busy cores give less than twice what one gives where they share units, a clock, memory or the
machine itself with others: ``possible`` tells that, and ``of possible`` what is lost to working
together. All are medians over rounds of the ratio within the round.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist
from provenance import commit, machine

from adiw_tune.tasks import Splits
from adiw_tune.training import Peers, TrainingRun, TrialConfig, load_splits

RESULTS = Path(__file__).with_suffix(".json")
ROUNDS = 12
ROWS = 5120  # trained on in each part of a round
SETTINGS: dict[str, dict[str, Any]] = {
    "plain, 256 rows": {"method": "erm", "batch_size": 256},
    "mmd, 256 rows": {"batch_size": 256},
    "mmd, 1024 rows": {"batch_size": 1024, "reference_batch_size": 1024},
    "mmd on features, 256 rows": {"batch_size": 256, "representation": "feature"},
    "diw, 256 rows": {"batch_size": 256, "method": "diw"},
}


def config_of(name: str) -> TrialConfig:
    fixed = {"task": "fashion-mnist", "shift": "pair:0.45", "reference_size": 1024}
    return TrialConfig.from_mapping({**fixed, **SETTINGS[name], "warmup_epochs": 0})


class Batches:
    """A run, mini-batch after mini-batch."""

    def __init__(self, name: str, splits: Splits, peers: Peers) -> None:
        self.run = TrainingRun(config_of(name), splits=splits, peers=peers)
        self.run.network.train()
        self.chunks = self._chunks()

    def _chunks(self) -> Iterator[torch.Tensor]:
        size = self.run.config.batch_size
        order = self.run._epoch_order()
        return cycle(order[: len(order) // size * size].split(size))

    def train(self) -> None:
        """As many mini-batches as have ``ROWS`` rows."""
        for _ in range(ROWS // self.run.config.batch_size):
            index = next(self.chunks)
            share = index[self.run.peers.share(len(index))]
            (rows,) = self.run.method.rows.batches([share])
            self.run._step(index, rows)


def timed(batches: Batches | None) -> float:
    """Seconds from when both are ready until both are done; None waits for the other."""
    dist.barrier()
    start = time.perf_counter()
    if batches is not None:
        batches.train()
    dist.barrier()
    return time.perf_counter() - start


def measure(rank: int, folder: str, splits: Splits) -> None:
    """One of the two processes."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    tables = []
    for name in SETTINGS:
        own = Batches(name, splits, Peers())
        together = Batches(name, splits, Peers.joined())
        parts = {"one": None if rank else own, "both": own, "together": together}
        rounds = []
        for number in range(ROUNDS + 1):  # the first is not counted
            first = number % len(parts)  # each part goes first, second and last as often
            turns = [*parts, *parts][first : first + len(parts)]
            rounds.append({part: timed(parts[part]) for part in turns})
        tables.append({"setting": name, **told(rounds[1:])})
        if rank == 0:
            print(json.dumps(tables[-1]), file=sys.stderr, flush=True)
    if rank == 0:
        Path(folder, "tables.json").write_text(json.dumps(tables))
    dist.destroy_process_group()


def told(rounds: list[dict[str, float]]) -> dict[str, float]:
    efficiency = [r["one"] / r["together"] / 2 for r in rounds]
    possible = [r["one"] / r["both"] for r in rounds]
    return {
        "rows_per_s": median(ROWS / r["one"] for r in rounds),
        "efficiency": median(efficiency),
        "possible": median(possible),
        "of_possible": median(e / p for e, p in zip(efficiency, possible, strict=True)),
    }


def run() -> None:
    torch.set_num_threads(1)
    splits = load_splits(config_of(next(iter(SETTINGS))))
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        both = [fork.Process(target=measure, args=(rank, folder, splits)) for rank in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        tables = json.loads(Path(folder, "tables.json").read_text())
    told = {"commit": commit(), "machine": machine(), "rounds": ROUNDS, "rows_in_a_round": ROWS}
    RESULTS.write_text(json.dumps({**told, "table": tables}, indent=1) + "\n")


def table() -> None:
    results = json.loads(RESULTS.read_text())
    print(f"Commit {results['commit']}; {results['machine']}; {results['rounds']} rounds.\n")
    print("| | rows/s of one | efficiency of two | possible | of possible |")
    print("|---|---|---|---|---|")
    for row in results["table"]:
        ratios = (f"{row[name]:.2f}" for name in ("efficiency", "possible", "of_possible"))
        print(f"| {row['setting']} | {row['rows_per_s']:,.0f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "table"))
    {"run": run, "table": table}[parser.parse_args().what]()
