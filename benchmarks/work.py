"""Whether work is the same beside other runs: one configuration alone, and as four at once.

    python benchmarks/work.py           # some minutes on two cores; prints a table

Each run is a process of its own with one CPU thread, and does what a trial of a search does: it
sets up, measures its step alone on the machine, and trains, making room for the others' measuring.
All count in the plain step that the first of them measured, as those of a search do. Those at once
begin together. ``wall`` is of training alone, without set-up, measuring and waiting.
Nothing else should run, though work is to bear it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from provenance import commit, machine

from adiw_tune.search.on_ray.exclusive import device_turn
from adiw_tune.training import TrainingRun, TrialConfig

AT_ONCE = 4
CONFIGS: dict[str, dict[str, Any]] = {
    "digits, mmd, 20 epochs": {"epochs": 20},
    "digits, giw, 20 epochs": {"epochs": 20, "method": "giw"},
    "Fashion-MNIST, mmd, 1 epoch": {"task": "fashion-mnist", "epochs": 1, "warmup_epochs": 0},
}


def trial(name: str) -> None:
    """One run; begins when the seconds of a plain step come in, or null, and prints its cost."""
    torch.set_num_threads(1)
    run = TrainingRun(TrialConfig(**CONFIGS[name]))
    turn = device_turn(run.device)
    print("ready", flush=True)
    plain_s = json.loads(sys.stdin.readline())
    with turn.shared():
        start = time.perf_counter()
        cost = run.calibrate(turn.exclusive, plain_s)
        calibrating = time.perf_counter() - start
        while not run.finished:
            run.run_epoch(turn.make_room)
    told = {"work": run.work_s, "wall": run.train_seconds, "calibrating": calibrating}
    print(json.dumps({**told, **cost.as_dict()}))


def at_once(name: str, count: int, plain_s: float | None) -> list[dict[str, float]]:
    """``count`` runs that begin together, and count in ``plain_s``, or measure it."""
    command = [sys.executable, __file__, "--trial", name]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(count)]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write(f"{json.dumps(plain_s)}\n")
        process.stdin.flush()
    return [json.loads(process.communicate()[0]) for process in processes]


def measure(rounds: int) -> None:
    print(
        f"| configuration | runs | work alone, s | work of {AT_ONCE} at once, s | furthest off ",
        end="",
    )
    print("| furthest off, alone | wall alone, s | wall at once, s | calibrating alone, s |")
    print("|---" * 9 + "|")
    for name in CONFIGS:
        alone: list[dict[str, float]] = []
        together: list[dict[str, float]] = []
        for number in range(rounds):
            plain_s = alone[0]["plain_s"] if alone else None
            alone += at_once(name, 1, plain_s)
            together += at_once(name, AT_ONCE, alone[0]["plain_s"])
            print(
                f"{name}: round {number + 1} of {rounds}",
                alone[-1:] + together[-AT_ONCE:],
                file=sys.stderr,
            )
        of_one = median(one["work"] for one in alone)
        cells = [
            name,
            f"{len(alone)} and {len(together)}",
            spread(alone, "work"),
            spread(together, "work"),
            *(
                f"{100 * max(abs(one['work'] / of_one - 1) for one in runs):.1f}%"
                for runs in (together, alone)
            ),
            spread(alone, "wall"),
            spread(together, "wall"),
            f"{median(one['calibrating'] for one in alone):.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nMedians, and in brackets the least and the most. Commit {commit()}, {machine()}.")


def spread(runs: Sequence[dict[str, float]], what: str) -> str:
    values = [one[what] for one in runs]
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trial", choices=CONFIGS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    trial(asked.trial) if asked.trial else measure(asked.rounds)
