"""Whether an epoch takes longer than in another version: both in one process, in turns.

    git worktree add ../before COMMIT
    python benchmarks/versions.py run ../before   # about 10 minutes; writes versions.json
    python benchmarks/versions.py table

Fashion-MNIST, LeNet, the defaults, one CPU thread: whole epochs, and what is measured on the select
split after them. In each round both versions train one epoch, each first as often; the ratio is the
median over rounds of the ratio within the round, in seconds of CPU time.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from provenance import commit, machine

RESULTS = Path(__file__).with_suffix(".json")
ROUNDS = 12
METHODS = ("erm", "adiw")
OURS = Path(__file__).parent.parent


def version(root: Path) -> ModuleType:
    """The package ``adiw_tune.training`` of the checkout at ``root``, imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "adiw_tune"]:
        del sys.modules[name]
    sys.path.insert(0, str(root.resolve()))
    try:
        import adiw_tune.training as training
    finally:
        sys.path.pop(0)
    assert Path(training.__file__).is_relative_to(root.resolve()), training.__file__
    return training


def training_run(training: Any, method: str) -> Any:
    shift = {"task": "fashion-mnist", "shift": "pair:0.45"}
    config = training.TrialConfig(**shift, method=method, epochs=10_000, warmup_epochs=0)
    return training.TrainingRun(config)


def seconds(run: Any) -> float:
    start = time.process_time()
    run.run_epoch()
    return time.process_time() - start


def run(other: Path) -> None:
    torch.set_num_threads(1)
    runs = {
        (method, which): training_run(training, method)
        for which, training in (("ours", version(OURS)), ("other", version(other)))
        for method in METHODS
    }
    pairs: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for number in range(ROUNDS):
        for method in METHODS:
            order = ("ours", "other") if number % 2 else ("other", "ours")
            took = {which: seconds(runs[method, which]) for which in order}
            pairs[method].append((took["ours"], took["other"]))
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    rows = [
        {
            "method": method,
            "seconds": median(ours for ours, _ in some),
            "ratio": median(ours / theirs for ours, theirs in some),
        }
        for method, some in pairs.items()
    ]
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=other, capture_output=True, text=True
    )
    result = {"commit": commit(), "other": head.stdout.strip(), "machine": machine(), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def table() -> None:
    result = json.loads(RESULTS.read_text())
    print(f"| method | seconds of an epoch | ratio to {result['other']} |\n|---|---|---|")
    for row in result["rows"]:
        print(f"| {row['method']} | {row['seconds']:.1f} | {row['ratio']:.3f} |")
    print(f"\n{ROUNDS} rounds, commit {result['commit']}, {result['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("other", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.what == "table":
        table()
    elif arguments.other is None:
        parser.error("run needs the other checkout")
    else:
        run(arguments.other)
