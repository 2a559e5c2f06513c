"""What fitting the reference rows does: accuracy and weights, by reference_weight and method.

    python benchmarks/clean_rows.py run --data-dir DIR    # hours; less with --columns, --only
    python benchmarks/clean_rows.py table

DIR holds adult/, newsclass/, cifar10/ and cifar10n/; Fashion-MNIST is Debian's. ``run`` appends one
line for each run to clean_rows.jsonl, with its commit and machine, and skips runs that stand there.
One CPU thread. Not every row was run in every column.

The number in a row's name is reference_weight, λ: with λ > 0 the same clean rows set weights and
are fitted. In rows ``dealt`` they are dealt out: one half of them weighs and is never fitted, the
other is fitted and never weighs. In rows ``half`` the first half does both and the other nothing,
to tell what is due to the dealing from what is due to fewer rows. Recorded are

- test accuracy after the last epoch, and after the epoch that was best on select;
- of the remembered weights, after the last epoch (``last``) and as the mean over the last three
  (``mean``): the area under the ROC curve with which low weights tell wrong labels from right
  ones, where these are known, and the effective sample size as a share of the rows;
- mean losses at the end: of the reference rows that weigh, of select rows, which are as clean and
  were never fitted, and of training rows with right and with wrong labels.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from provenance import append_result, commit, machine, results_in
from sklearn.metrics import roc_auc_score
from tasks import cifar10n_small, news_titles
from torch import Tensor
from torch.nn.functional import cross_entropy

from adiw_tune.tasks import Rows, Splits, in_order
from adiw_tune.training import TrainingRun, TrialConfig, load_splits
from adiw_tune.training.methods import Step
from adiw_tune.training.methods.adiw import Adiw
from adiw_tune.training.stream import BatchStream

RESULTS = Path(__file__).with_suffix(".jsonl")
TASKS = Path(__file__).with_name("tasks")
AVERAGED = 3  # epochs whose weights are averaged

# Set-up of a column, and the shift that leaves the same rows with right labels; or, of tasks with
# wrong labels of their own, what gives the right ones.
DIGITS = {"task": "digits", "batch_size": 64, "learning_rate": 3e-3, "epochs": 20}
NEWS = {"task": str(TASKS / "news_titles.py"), "batch_size": 64, "epochs": 20}
ADULT = {"task": "adult", "epochs": 5}
FASHION = {
    "task": str(TASKS / "fashion_mnist_small.py"),
    "batch_size": 128,
    "reference_batch_size": 128,
    "epochs": 15,
}
CIFAR = {
    "task": str(TASKS / "cifar10n_small.py"),
    "batch_size": 128,
    "reference_batch_size": 128,
    "learning_rate": 2e-3,
    "schedule": "cosine",
    "epochs": 12,
}
Right = str | Callable[[Path], Tensor]
COLUMNS: dict[str, tuple[dict[str, Any], Right]] = {
    "digits, symmetric 0.5": ({**DIGITS, "shift": "symmetric:0.5"}, "none"),
    "digits, pair 0.4": ({**DIGITS, "shift": "pair:0.4"}, "none"),
    "digits, class-prior 10": ({**DIGITS, "shift": "class-prior:10"}, "class-prior:10"),
    "news": (NEWS, news_titles._right_labels),
    "adult, group 100": ({**ADULT, "shift": "group-prior:100"}, "group-prior:100"),
    "adult, group 100, symmetric 0.2": (
        {**ADULT, "shift": "group-prior:100+symmetric:0.2"},
        "group-prior:100",
    ),
    "fashion-mnist, pair 0.45": ({**FASHION, "shift": "pair:0.45"}, "none"),
    "CIFAR-10N, worst": (CIFAR, cifar10n_small._right_labels),
    "CIFAR-10N, worst, no batch norm": (
        {**CIFAR, "model": {"norm": False}},
        cifar10n_small._right_labels,
    ),
}

# What weighs -> its part of the configuration, and the reference weights tried with it.
WEIGHERS: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "pooled": ({"method": "pooled"}, (0.1, 0.3, 1, 3, 10)),
    "mmd": ({"divergence": "mmd"}, (0, 0.1, 0.3, 1, 3, 10)),
    "energy": ({"divergence": "energy"}, (0, 0.1, 0.3, 1, 3, 10)),
    "kl, features": (
        {"divergence": "kl", "representation": "feature", "bandwidth": 0.15},
        (0, 0.1, 1, 10),
    ),
    "mmd, features": ({"divergence": "mmd", "representation": "feature"}, (0, 0.1, 1)),
    "mmd, dealt": ({"divergence": "mmd"}, (0.1, 1, 10)),
    "energy, dealt": ({"divergence": "energy"}, (1, 10)),
    "mmd, half": ({"divergence": "mmd"}, (0.1, 1, 10)),
    "energy, half": ({"divergence": "energy"}, (1, 10)),
}
ROWS: dict[str, dict[str, Any]] = {
    "erm": {"method": "erm"},
    "clean-only": {"method": "clean-only"},
    **{
        f"{name}, {weight:g}": {**changes, "reference_weight": float(weight)}
        for name, (changes, weights) in WEIGHERS.items()
        for weight in weights
    },
}


class Half(Adiw):
    """The first half of the reference rows alone weighs, and is fitted."""

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        half = splits.reference.take(slice(len(splits.reference) // 2))
        super().__init__(config, replace(splits, reference=half))


class Dealt(Half):
    """The first half of the reference rows weighs and is never fitted, the other is fitted."""

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        other = splits.reference.take(slice(len(splits.reference) // 2, None))
        self.fitted = BatchStream(other, config.reference_batch_size, config.seed + 5)

    @property
    def _looks_with_gradient(self) -> bool:
        return False

    def _reference_loss(self, step: Step) -> Tensor:
        looked = step.learner.look(self.fitted.draw(), gradient=True)
        return self.reference_weight * looked.losses.mean()


VARIANTS = {"half": Half, "dealt": Dealt}  # by a part of a row's name


def planned(arguments: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """(column, row, seed) of the runs asked for."""
    for column in arguments.columns or COLUMNS:
        for seed in arguments.seeds:
            for row in arguments.only or ROWS:
                yield column, row, seed


def finished_runs() -> list[dict[str, Any]]:
    return results_in(RESULTS)


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    by = {"commit": commit(), "machine": machine()}  # of the code that was imported at the start
    for column, row, seed in planned(arguments):
        names = {"column": column, "row": row, "seed": seed}
        if any(names.items() <= one.items() for one in finished_runs()):
            continue
        result = {**names, **measured(column, row, seed, arguments.data_dir), **by}
        append_result(RESULTS, result)


def measured(column: str, row: str, seed: int, data_dir: Path | None) -> dict[str, Any]:
    """Train once; what a line of the results says of it."""
    setting, right_by = COLUMNS[column]
    config = TrialConfig(**setting, **ROWS[row], seed=seed)
    training = TrainingRun(config, data_dir=data_dir)
    if variant := next((VARIANTS[part] for part in row.split(", ") if part in VARIANTS), None):
        training.method = variant(config, training.splits)
    right = right_labels(config, right_by, data_dir)
    weights = []
    accuracies = {"test": 0.0, "select_best": -1.0, "test_at_best": 0.0}
    while not training.finished:
        note_accuracies(training, accuracies)
        weights.append(remembered_weights(training))
    return {
        **{name: round(value, 4) for name, value in accuracies.items()},
        **weight_figures([w for w in weights[-AVERAGED:] if w is not None], training, right),
        "losses": mean_losses(training, right),
        "train_seconds": round(training.train_seconds, 1),
    }


def note_accuracies(training: TrainingRun, accuracies: dict[str, float]) -> None:
    """Train an epoch; test where it is the best so far or the last."""
    select = training.run_epoch().metrics["accuracy"]
    best = select > accuracies["select_best"]
    if not best and not training.finished:
        return
    accuracies["test"] = training.metrics(training.splits.test)["accuracy"]
    if best:
        accuracies.update(select_best=select, test_at_best=accuracies["test"])


def right_labels(config: TrialConfig, by: Right, data_dir: Path | None) -> Tensor:
    """Of the training rows: [n], -1 where they are not known."""
    if not isinstance(by, str):
        assert data_dir is not None
        return by(data_dir)
    return load_splits(TrialConfig(**{**config.as_dict(), "shift": by}), data_dir).train.labels


def remembered_weights(training: TrainingRun) -> Tensor | None:
    method = training.method
    return method.estimator.weighter.memory.weights.clone() if isinstance(method, Adiw) else None


def weight_figures(
    weights: list[Tensor], training: TrainingRun, right: Tensor
) -> dict[str, dict[str, float]]:
    """Of the last epochs' weights; nothing where there are none."""
    if not weights:
        return {}
    kinds = {"last": weights[-1], "mean": torch.stack(weights).mean(dim=0)}
    known, wrong = right >= 0, right != training.splits.train.labels
    figures = {
        "effective_share": {k: float(w.mean() ** 2 / (w**2).mean()) for k, w in kinds.items()}
    }
    if wrong[known].any():
        figures["auc"] = {k: roc_auc_score(wrong[known], -w[known]) for k, w in kinds.items()}
    return {name: {k: round(v, 4) for k, v in one.items()} for name, one in figures.items()}


def mean_losses(training: TrainingRun, right: Tensor) -> dict[str, float]:
    """By role, of the network as it is at the end."""
    splits, method = training.splits, training.method
    weighing = splits.reference if method.reference is None else method.reference.rows
    found = {"reference": losses(training, weighing), "select": losses(training, splits.select)}
    train, labels = losses(training, splits.train), splits.train.labels
    found["train_right"] = train[right == labels]
    found["train_wrong"] = train[(right != labels) & (right >= 0)]
    return {name: round(float(some.mean()), 4) for name, some in found.items() if len(some)}


@torch.no_grad()
def losses(training: TrainingRun, rows: Rows) -> Tensor:
    training.network.eval()
    parts = [
        cross_entropy(training.network(p.inputs), p.labels, reduction="none")
        for p in in_order(rows)
    ]
    return torch.cat(parts)


def table() -> None:
    cells = defaultdict(list)
    runs = finished_runs()
    for one in runs:
        cells[one["column"], one["row"]].append(one)
    for title, figure in FIGURES.items():
        print(f"{title}\n")
        print_table(cells, figure)
    print(f"{len(runs)} runs, commits {', '.join(sorted({one['commit'] for one in runs}))}.")
    print(f"{'; '.join(sorted({one['machine'] for one in runs}))}.")


Figure = Callable[[dict[str, Any]], float | None]
FIGURES: dict[str, Figure] = {
    "Test accuracy after the last epoch, %": lambda one: 100 * one["test"],
    "Test accuracy after the epoch that is best on select, %": lambda one: (
        100 * one["test_at_best"]
    ),
    "Area under the ROC curve, mean weights of the last epochs, %": lambda one: (
        100 * one["auc"]["mean"] if "auc" in one else None
    ),
    "Area under the ROC curve, last weights, %": lambda one: (
        100 * one["auc"]["last"] if "auc" in one else None
    ),
    "Effective sample size of the last weights, % of the rows": lambda one: (
        100 * one["effective_share"]["last"] if "effective_share" in one else None
    ),
    "Mean loss of the rows that weigh, at the end": lambda one: one["losses"]["reference"],
    "Mean loss of select rows, at the end": lambda one: one["losses"]["select"],
}


def print_table(cells: dict[tuple[str, str], list[dict[str, Any]]], figure: Figure) -> None:
    columns = [column for column in COLUMNS if any(cells[column, row] for row in ROWS)]
    print("| method, λ | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for row in ROWS:
        found = [[figure(one) for one in cells[column, row]] for column in columns]
        if any(value is not None for some in found for value in some):
            print(f"| {row} | {' | '.join(_cell(some) for some in found)} |")
    print()


def _cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    digits = 1 if max(known) > 10 else 2
    spread = f" ± {stdev(known):.{digits}f}" if len(known) > 1 else ""
    return f"{mean(known):.{digits}f}{spread}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=list(ROWS), help="rows of the table")
    parser.add_argument("--columns", nargs="+", choices=list(COLUMNS), help="columns of the table")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    {"run": lambda: run(given), "table": table}[given.what]()
