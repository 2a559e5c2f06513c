"""What weighting adds to the time of training: ratios of paired mini-batches, in one process.

    python benchmarks/epoch.py run      # about 3 minutes; writes epoch.json
    python benchmarks/epoch.py table

Fashion-MNIST, LeNet, mini-batches of 256 and 256 reference rows, one CPU thread; where there is a
GPU, also there, and ResNet-18 in bfloat16 on CIFAR-10's shape. In each round every method trains a
few mini-batches, in a new order; a ratio is the median over rounds of the ratio within the round,
so that what else the machine does falls on both sides.

``floor`` is pooled: plain training plus the pass of the reference rows, with gradient, as they are
trained on: what no method that looks at them can go below. ``diw`` is the exact QP as this package
solves it, with sparse bounds, and ``diw, dense bounds`` with those of the published code; the
bandwidth is vectorised in both. ``diw-published`` adds the published double loop for the bandwidth
and its separate forward pass; it trains on the reference rows in its own way.
"""

import argparse
import json
import random
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
from provenance import commit, has_qp, machine
from torch import Tensor
from weight_step import solve_as_published

from adiw_tune.tasks import Data, Split, Task, find_task
from adiw_tune.training import TrainingRun, TrialConfig
from adiw_tune.training.methods import Step
from adiw_tune.training.methods.diw import Diw

RESULTS = Path(__file__).with_suffix(".json")
ROUNDS = 25
MINI_BATCHES = 10  # of each method in a round
SLOW = ("diw-published",)  # one in a round
DIVERGENCES = ("mmd", "kl", "squared", "wasserstein", "energy", "pearson", "auto")
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {"method": "erm"},
    "floor": {"method": "pooled"},  # with the pass of the reference rows, which are trained on
    **{name: {"divergence": name} for name in DIVERGENCES},
    "mmd, compiled": {"divergence": "mmd", "compiled": True},
    "auto, compiled": {"divergence": "auto", "compiled": True},
    "l2rw": {"method": "l2rw"},
}
if has_qp():
    CONFIGS |= {
        "diw": {"method": "diw"},
        "diw, dense bounds": {"method": "diw"},
        "diw-published": {"method": "diw-published"},
    }
COMPARED = ("mmd", "floor", "diw", "diw, dense bounds", "diw-published")


def quantile_as_published(losses: Tensor) -> float:
    """The 1% quantile of the pairwise distances, by the loop over pairs that was published."""
    import numpy

    data = losses.detach().cpu().numpy().reshape(-1, 1)
    distances = []
    for i in range(len(data)):
        for j in range(i + 1, len(data)):
            difference = numpy.array(data[i]) - numpy.array(data[j])
            distances.append(numpy.sqrt(numpy.sum(difference**2)))
    return float(numpy.quantile(numpy.array(distances), 0.01))


class DenseDiw(Diw):
    """DIW by the QP with dense bounds."""

    def weigh(self, step: Step) -> Tensor:
        """The same weights, more slowly."""
        target = self.look(step)
        return solve_as_published(step.forward.losses.detach(), target.losses.detach())


class Batches:
    """One method in training, mini-batch after mini-batch."""

    def __init__(self, name: str, setting: dict[str, Any], device: str) -> None:
        config = TrialConfig(**setting, **CONFIGS[name], warmup_epochs=0)
        self.run = TrainingRun(config, device)
        self.run.network.train()
        if name == "diw, dense bounds":
            self.run.method = DenseDiw(config, self.run.splits).to(self.run.device)
        self.published = name == "diw-published"
        self.chunks = self._chunks()

    def _chunks(self):
        while True:
            for index in self.run._epoch_order().split(self.run.config.batch_size):
                if len(index) == self.run.config.batch_size:
                    yield index

    def time(self, count: int) -> float:
        """Seconds per mini-batch, over ``count`` of them."""
        start = self.run._now()
        for _ in range(count):
            index = next(self.chunks)
            (rows,) = self.run.method.rows.batches([index])
            if self.published:
                quantile_as_published(self.run._learner.evaluate(rows).losses)
            self.run._step(index.to(self.run.device), rows)
        return (self.run._now() - start) / count


def measure(setting: dict[str, Any], device: str) -> list[dict[str, Any]]:
    methods = {name: Batches(name, setting, device) for name in CONFIGS}
    for name, batches in methods.items():
        batches.time(1 if name in SLOW else 3)
    rounds: list[dict[str, float]] = []
    order = random.Random(0)
    for number in range(ROUNDS):
        turns = order.sample(list(methods.items()), len(methods))
        rounds.append({n: b.time(1 if n in SLOW else MINI_BATCHES) for n, b in turns})
        print(f"{device}, round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    return [
        {
            "method": name,
            "milliseconds": 1e3 * median(r[name] for r in rounds),
            **{
                f"to_{other}": median(r[name] / r[other] for r in rounds)
                for other in COMPARED
                if other in methods
            },
        }
        for name in CONFIGS
    ]


def cifar_shaped() -> Task:
    """Random images in CIFAR-10's shape and number, for the time of an epoch only."""
    draw = torch.Generator().manual_seed(0)

    def load(data_dir: Path | None) -> Data:
        def rows(n: int) -> Split:
            images = torch.randint(256, (n, 3, 32, 32), generator=draw, dtype=torch.uint8)
            return Split(images, torch.randint(10, (n,), generator=draw))

        return Data(rows(50_000), rows(1_000), classes=10)

    cifar = find_task("cifar10")
    return Task("cifar-shaped", load, cifar.networks, 500, 500, cifar.augment)


def run() -> None:
    torch.set_num_threads(1)
    fashion = {"task": "fashion-mnist", "shift": "pair:0.45"}
    tables = {"LeNet, CPU": measure(fashion, "cpu")}
    if torch.cuda.is_available():
        from adiw_tune.tasks import TASKS

        TASKS["cifar-shaped"] = cifar_shaped()
        tables["LeNet, GPU"] = measure(fashion, "cuda")
        resnet = {"task": "cifar-shaped", "network": "resnet18", "precision": "bfloat16"}
        tables["ResNet-18, bfloat16, GPU"] = measure(resnet, "cuda")
    result = {"commit": commit(), "machine": machine(), "rounds": ROUNDS, "tables": tables}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def table() -> None:
    result = json.loads(RESULTS.read_text())
    for title, rows in result["tables"].items():
        print(f"{title}: a mini-batch, and its ratio to that of\n")
        print("| method | ms | " + " | ".join(COMPARED) + " |")
        print("|---" * (2 + len(COMPARED)) + "|")
        for row in rows:
            ratios = [
                f"{row[f'to_{other}']:.2f}" if f"to_{other}" in row else "-" for other in COMPARED
            ]
            print(f"| {row['method']} | {row['milliseconds']:.1f} | {' | '.join(ratios)} |")
        print()
    print(f"{result['rounds']} rounds, commit {result['commit']}, {result['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    {"run": run, "table": table}[parser.parse_args().what]()
