"""Test accuracy of every method and divergence on shifted data: mean and deviation over seeds.

    python benchmarks/accuracy.py run      # hours; less with --seeds 0 --only erm mmd
    python benchmarks/accuracy.py run --suite cifar10 --data-dir DIR    # on a GPU
    python benchmarks/accuracy.py run --suite real --data-dir DIR       # ten hours on one core
    python benchmarks/accuracy.py table    # the tables of docs/results.md
    python benchmarks/accuracy.py plot     # docs/accuracy.png

``run`` appends one line for each run to accuracy.jsonl, with its commit and machine, and skips runs
that stand there: it can be stopped and gone on with, and two at once share the work if their
``--seeds``, ``--only`` or ``--suite`` differ.

Set-up: the project's defaults, Adam 1e-3, mini-batches of 256, 8 epochs of which the first has
w = 1 (CIFAR-10: ResNet-32, 40 epochs, 5 with w = 1); 500 reference and 500 select rows (CIFAR-10:
1,000) kept out of training; test accuracy after the last epoch. One CPU thread, or the GPU where
there is one. ``train_seconds`` are of machines that may have had other work: no timing claim.

The suite ``real`` has labels that people or rules got wrong, real groups, and Fashion-MNIST again.
Its methods that weigh train on the reference rows, too, as they do by default; the other suites are
of before that, with ``reference_weight`` 0. DIR holds adult/, newsclass/, cifar10/, cifar10n/ and
fashion-mnist/.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from provenance import append_result, commit, machine, percent_over_seeds, results_in

from adiw_tune.arms import BASELINES
from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_name("accuracy.jsonl")
PLOT = Path(__file__).parent.parent / "docs" / "accuracy.png"
DIVERGENCES = ("mmd", "kl", "squared", "wasserstein", "energy", "pearson")

# What a row of the tables is called -> what it changes of the defaults.
CONTROLS: dict[str, dict[str, Any]] = {
    "erm": {"method": "erm"},
    "clean-only": {"method": "clean-only"},
    "random": {"method": "random"},
    "static": {"method": "static"},
    "l2rw": {"method": "l2rw"},
    "diw-published": {"method": "diw-published"},
    "diw": {"method": "diw"},
}
ADIW: dict[str, dict[str, Any]] = {
    **{name: {"divergence": name} for name in DIVERGENCES},
    "auto": {"divergence": "auto"},
}
GIW = {f"giw, {name}": {"method": "giw", **changes} for name, changes in ADIW.items()}

# Measured before methods that weigh trained on the reference rows, too.
ON_TRAINING_ROWS_ALONE = {"reference_weight": 0.0}

TASKS = Path(__file__).with_name("tasks")
CIFAR10N = {
    "batch_size": 128,
    "reference_batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "epochs": 12,
}

# Suite -> (what its columns are called -> task and shift, rows).
SUITES: dict[str, tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]] = {
    "fashion-mnist": (
        {
            name: {"task": "fashion-mnist", "shift": shift, **ON_TRAINING_ROWS_ALONE}
            for name, shift in (
                ("pair 0.45", "pair:0.45"),
                ("class-prior 100", "class-prior:100"),
                ("symmetric 0.5", "symmetric:0.5"),
                ("pair 0.3", "pair:0.3"),
                ("symmetric 0.4", "symmetric:0.4"),
            )
        },
        {**CONTROLS, **ADIW},
    ),
    "color-fashion": (
        {
            "support": {
                "task": "color-fashion",
                "shift": "group-prior:inf",
                **ON_TRAINING_ROWS_ALONE,
            }
        },
        {"erm": CONTROLS["erm"], "clean-only": CONTROLS["clean-only"], "mmd": ADIW["mmd"], **GIW},
    ),
    "cifar10": (
        {
            f"CIFAR-10, {name}": {
                "task": "cifar10",
                "shift": shift,
                "epochs": 40,
                "warmup_epochs": 5,
                **ON_TRAINING_ROWS_ALONE,
            }
            for name, shift in (("pair 0.45", "pair:0.45"), ("symmetric 0.4", "symmetric:0.4"))
        },
        {**CONTROLS, **ADIW},
    ),
    # As the project's defaults are now: methods that weigh train on the reference rows, too.
    "real": (
        {
            "news in Yoruba": {
                "task": str(TASKS / "news_titles.py"),
                "batch_size": 64,
                "epochs": 20,
            },
            "Adult, group 100": {"task": "adult", "shift": "group-prior:100", "epochs": 5},
            "CIFAR-10N worst": {"task": str(TASKS / "cifar10n_small.py"), **CIFAR10N},
            "CIFAR-10N aggregate": {"task": str(TASKS / "cifar10n_small_aggregate.py"), **CIFAR10N},
            "Fashion, class-prior 100": {"task": "fashion-mnist", "shift": "class-prior:100"},
            "Fashion, pair 0.45": {"task": "fashion-mnist", "shift": "pair:0.45"},
        },
        {
            **{name: {"method": name} for name in BASELINES},
            **{name: one for name, one in CONTROLS.items() if name not in BASELINES},
            "giw": {"method": "giw"},
            **ADIW,
        },
    ),
}
BY_DEFAULT = ("fashion-mnist", "color-fashion")  # hours on a CPU, where cifar10 takes weeks


def planned(arguments: argparse.Namespace) -> Iterator[tuple[str, str, int, TrialConfig]]:
    """(column, row, seed, configuration) of the runs asked for."""
    for suite in arguments.suite or BY_DEFAULT:
        columns, rows = SUITES[suite]
        for seed in arguments.seeds:
            for column, where in columns.items():
                if arguments.columns and column not in arguments.columns:
                    continue
                for row, changes in rows.items():
                    if not arguments.only or row in arguments.only:
                        yield column, row, seed, TrialConfig(**where, **changes, seed=seed)


def finished_runs() -> list[dict[str, Any]]:
    return results_in(RESULTS)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for column, row, seed, config in planned(arguments):
        done = {(one["column"], one["row"], one["seed"]) for one in finished_runs()}
        if (column, row, seed) in done:
            continue
        training = TrainingRun(config, device, arguments.data_dir)
        curve = []
        while not training.finished:
            report = training.run_epoch()
            curve.append(round(training.metrics(training.splits.test)["accuracy"], 4))
        result = {
            "column": column,
            "row": row,
            "seed": seed,
            "test": curve[-1],
            "select": report.metrics["accuracy"],
            "test_by_epoch": curve,
            "shares": {name: round(share, 4) for name, share in report.shares.items()},
            "train_seconds": round(report.train_seconds, 1),
            "commit": commit(),
            "machine": machine(),
        }
        append_result(RESULTS, result)


def by_cell() -> dict[tuple[str, str], list[float]]:
    """(column, row) -> test accuracies of its seeds."""
    cells = defaultdict(list)
    for one in finished_runs():
        cells[one["column"], one["row"]].append(one["test"])
    return cells


def table() -> None:
    cells = by_cell()
    for columns, rows in SUITES.values():
        if not any(cells[column, row] for column in columns for row in rows):
            continue
        print("| method | " + " | ".join(columns) + " |")
        print("|---|" + "---|" * len(columns))
        for row in rows:
            found = [percent_over_seeds(cells[column, row]) for column in columns]
            print(f"| {row} | {' | '.join(found)} |")
        runs = [one for one in finished_runs() if one["column"] in columns]
        print(f"\n{len(runs)} runs, commits {', '.join(sorted({one['commit'] for one in runs}))}.")
        print(f"{'; '.join(sorted({one['machine'] for one in runs}))}.\n")


def plot() -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    cells = by_cell()
    panels = [
        (column, list(rows))
        for columns, rows in SUITES.values()
        for column in columns
        if any(cells[column, row] for row in rows)
    ]
    lines = -(-len(panels) // 3)
    figure, axes = plt.subplots(lines, 3, figsize=(13, 4 * lines), layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (column, rows) in zip(axes.flat, panels, strict=False):
        found = [(row, cells[column, row]) for row in rows if cells[column, row]]
        for height, (row, accuracies) in enumerate(reversed(found)):
            colour = "tab:red" if row.endswith("auto") else "tab:grey"
            colour = "tab:blue" if row.removeprefix("giw, ") in DIVERGENCES else colour
            axis.plot(accuracies, [height] * len(accuracies), ".", color=colour, alpha=0.5)
            axis.plot(mean(accuracies), height, "|", color=colour, markersize=14, mew=2)
        axis.set_yticks(range(len(found)), [row for row, _ in reversed(found)])
        axis.set_title(column)
        axis.set_xlabel("test accuracy")
        axis.grid(axis="x", alpha=0.3)
    figure.savefig(PLOT, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table", "plot"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", metavar="ROW", help="rows of the table")
    parser.add_argument("--columns", nargs="+", metavar="COLUMN", help="columns of the table")
    parser.add_argument("--suite", nargs="+", choices=list(SUITES))
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    {"run": lambda: run(given), "table": table, "plot": plot}[given.what]()
