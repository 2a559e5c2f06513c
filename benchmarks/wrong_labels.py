"""How well the rows that ``adiw-tune rows`` ranks first are those with wrong labels.

    python benchmarks/wrong_labels.py run --data-dir DIR    # 3 hours; less with --columns, --only
    python benchmarks/wrong_labels.py table
    python benchmarks/wrong_labels.py scores    # of other scores that rows might be ranked by

DIR holds cifar10/ and cifar10n/; Fashion-MNIST is Debian's. ``run`` appends one line for each run
to wrong_labels.jsonl, with its commit and machine, and skips runs that stand there. One CPU thread.

The figure is the area under the ROC curve: the probability that a row with a wrong label stands
before one with a right label. Rows

    mmd, kl, energy       of one run by the project's defaults: as ``rows`` ranks them, by the mean
                          probability of the label over the last half of the epochs (``p, 0.5``)
    cleanlab              confident learning: the network trained plainly on four fifths of the
                          training rows says what it takes the other fifth for, in turns; rows are
                          ranked by cleanlab's default score, self-confidence
    cleanlab, clean rows  the same, where each of the five is trained as pooled, on the clean rows

Networks, epochs and rows are the same. cleanlab is not among the project's requirements:
``pip install cleanlab``.

Source: Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels",
JAIR 2021.
"""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clean_rows import COLUMNS as OTHERS
from clean_rows import FASHION, Right, right_labels
from provenance import append_result, commit, machine, percent_over_seeds, results_in
from scipy.special import softmax
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from adiw_tune.tasks import Splits
from adiw_tune.training import TrainingRun, TrialConfig, load_splits
from adiw_tune.training.methods import Step
from adiw_tune.training.row_scores import RowScores

RESULTS = Path(__file__).with_suffix(".jsonl")
FOLDS = 5

COLUMNS: dict[str, tuple[dict[str, Any], Right]] = {
    **{name: OTHERS[name] for name in ("digits, symmetric 0.5", "digits, pair 0.4")},
    "fashion-mnist, symmetric 0.5": ({**FASHION, "shift": "symmetric:0.5"}, "none"),
    **{name: OTHERS[name] for name in ("fashion-mnist, pair 0.45", "CIFAR-10N, worst")},
}
WEIGHTED = ("mmd", "kl", "energy")
PLAIN = {"cleanlab": {"method": "erm"}, "cleanlab, clean rows": {"method": "pooled"}}


class EveryEpoch(RowScores):
    """Keeps also what each epoch says: probability of the label, margin and weight, [e, 3, n]."""

    def __init__(self, splits: Splits, epochs: int) -> None:
        super().__init__(splits, epochs)
        self.seen = torch.zeros(epochs, 3, len(splits.train))

    @torch.no_grad()
    def update(self, step: Step, epoch: int) -> None:
        """As the other, and kept by epoch."""
        super().update(step, epoch)
        probabilities = step.forward.logits.softmax(1)
        labels = step.forward.labels.unsqueeze(1)
        own = probabilities.gather(1, labels).squeeze(1)
        margin = own - probabilities.scatter(1, labels, 0.0).amax(1)
        weights = torch.ones_like(own) if step.weights is None else step.weights
        self.seen[epoch][:, step.index] = torch.stack([own, margin, weights])


def run(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    by = {"commit": commit(), "machine": machine()}  # of the code that was imported at the start
    for seed in arguments.seeds:
        for column in arguments.columns or COLUMNS:
            for row in arguments.only or (*WEIGHTED, *PLAIN):
                names = {"column": column, "row": row, "seed": seed}
                if any(names.items() <= one.items() for one in results_in(RESULTS)):
                    continue
                result = {**names, **measured(column, row, seed, arguments.data_dir), **by}
                append_result(RESULTS, result)


def measured(column: str, row: str, seed: int, data_dir: Path | None) -> dict[str, Any]:
    """What a line of the results says of one way to rank rows."""
    setting, by = COLUMNS[column]
    changes = PLAIN.get(row) or {"divergence": row}
    config = TrialConfig(**setting, **changes, seed=seed)
    splits = load_splits(config, data_dir)
    right = right_labels(config, by, data_dir)
    wrong = (right != splits.train.labels).numpy()
    scores = cleanlab_scores(config, splits) if row in PLAIN else own_scores(config, splits)
    found = {name: round(roc_auc_score(wrong, -one), 4) for name, one in scores.items()}
    return {"auc": found, "rows": len(wrong), "wrong": round(float(wrong.mean()), 4)}


def own_scores(config: TrialConfig, splits: Splits) -> dict[str, np.ndarray]:
    """By name and the share of the epochs it is a mean over, [n], low where a label looks wrong."""
    training = TrainingRun(config, splits=splits, scored=True)
    kept = training._scores = EveryEpoch(splits, config.epochs)
    while not training.finished:
        training.run_epoch()
    found = {}
    for share in (1.0, 0.5, 0.25):
        last = kept.seen[-max(1, round(share * config.epochs)) :].mean(0).numpy()
        found.update(
            {f"{n}, {share:g}": one for n, one in zip(("p", "margin", "weight"), last, strict=True)}
        )
        ranks = [rankdata(one) for one in last[1:]]
        found[f"weight + margin, {share:g}"] = ranks[0] + ranks[1]
    scored = training.scored_rows()
    assert scored is not None
    np.testing.assert_allclose(found["p, 0.5"], scored.fit.numpy(), rtol=1e-4)
    return found


def cleanlab_scores(config: TrialConfig, splits: Splits) -> dict[str, np.ndarray]:
    """By its ways to rank, [n], low where a label looks wrong."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels = splits.train.labels.numpy()
    said = np.zeros((len(labels), splits.classes))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=config.seed)
    for fitted, held_out in folds.split(labels, labels):
        fold = replace(splits, train=splits.train.take(torch.from_numpy(fitted)), numbers=None)
        training = TrainingRun(config, splits=fold)
        while not training.finished:
            training.run_epoch()
        rows = splits.train.take(torch.from_numpy(held_out))
        said[held_out] = softmax(training.predictions(rows).outputs, axis=1)
    scores = {
        method: get_label_quality_scores(labels, said, method=method)
        for method in ("normalized_margin", "self_confidence", "confidence_weighted_entropy")
    }
    # The rows that confident learning calls wrong first, among these and the others by margin.
    issues = find_label_issues(labels, said, filter_by="confident_learning")
    scores["confident_learning"] = scores["normalized_margin"] - 2.0 * issues
    return scores


# What the first table shows of a row.
SHOWN = {**dict.fromkeys(WEIGHTED, "p, 0.5"), **dict.fromkeys(PLAIN, "self_confidence")}


def table() -> None:
    print_table({row: (row, name) for row, name in SHOWN.items()})


def scores() -> None:
    names = dict.fromkeys((one["row"], name) for one in results_in(RESULTS) for name in one["auc"])
    print_table({f"{row}: {name}": (row, name) for row, name in sorted(names)})


def print_table(rows: dict[str, tuple[str, str]]) -> None:
    runs = results_in(RESULTS)
    cells: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for one in runs:
        for name, value in one["auc"].items():
            cells[one["column"], one["row"], name].append(value)
    print("| rows by | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---|" * len(COLUMNS))
    for label, (row, name) in rows.items():
        found = [percent_over_seeds(cells[column, row, name]) for column in COLUMNS]
        print(f"| {label} | {' | '.join(found)} |")
    print(f"\n{len(runs)} runs, commits {', '.join(sorted({one['commit'] for one in runs}))}.")
    print(f"{'; '.join(sorted({one['machine'] for one in runs}))}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table", "scores"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=[*WEIGHTED, *PLAIN], help="rows of the table")
    parser.add_argument("--columns", nargs="+", choices=list(COLUMNS), help="columns of the table")
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    {"run": lambda: run(given), "table": table, "scores": scores}[given.what]()
