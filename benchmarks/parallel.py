"""What two workers gain over one on this machine: ratios of paired mini-batches, in one command.

    python benchmarks/parallel.py run      # about 3 minutes; writes parallel.json
    python benchmarks/parallel.py table

Fashion-MNIST, LeNet, one CPU thread a process, gloo on one machine. In each round the same number of
mini-batches is trained by one process while the other waits, by both at once on their own, and by
both together, half of each mini-batch each:

    efficiency = rate together / (2 rate of one)
    possible   = rate of both on their own / (2 rate of one)

What two busy cores give is less than twice what one gives where they share a core's units, a clock
or memory. ``possible`` tells that, and ``of possible`` = efficiency / possible what working together
costs. All are medians over rounds of the ratio within the round, so that what else the machine does
falls on both sides.
"""

import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.distributed as dist

from adiw_tune.tasks import Splits
from adiw_tune.training import Peers, TrainingRun, TrialConfig

RESULTS = Path(__file__).with_suffix(".json")
ROUNDS = 15
ROWS = 2560  # trained on in each part of a round
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
        for number in range(ROUNDS + 1):
            turns = sorted(parts, key=lambda part: hash((part, number)) if False else part)
            turns = turns[number % 3 :] + turns[: number % 3]
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
