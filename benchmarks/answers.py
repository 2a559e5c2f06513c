"""What a search answers where labels are really wrong, against training by the defaults.

    python benchmarks/answers.py search --data-dir DIR    # hours; less with --columns
    python benchmarks/answers.py table

For each column of the suite ``real`` of accuracy.py, ``adiw-tune search`` runs 24 trials over the
divergence, how it is minimised, the epochs (from half of the suite's up to all), and
``reference_weight``, with baselines and all else by default; its finale runs over 3 seeds. What it
picks is trained on seeds 0, 1 and 2, which the search has not seen, and test is read at the end of
each run, as it is for the rows of accuracy.py that it is compared with: the best row, chosen in
hindsight, and the best of the baselines. Results append to answers.jsonl; what stands there is not
run again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from accuracy import SUITES, by_cell
from provenance import append_result, commit, machine, results_in

from adiw_tune.arms import BASELINES
from adiw_tune.record.record import SearchRecord
from adiw_tune.search.picking import picked_config
from adiw_tune.training import TrainingRun, TrialConfig

RESULTS = Path(__file__).with_suffix(".jsonl")
COLUMNS, ROWS = SUITES["real"]
TRIALS, FINALE_SEEDS, SEARCH_SEED = 24, 3, 100
SEEDS = (0, 1, 2)
SPACE = """
def space(trial):
    values = {{
        **{setting!r},
        "epochs": trial.suggest_int("epochs", {epochs} // 2, {epochs}),
        "divergence": trial.suggest_categorical(
            "divergence", ["mmd", "kl", "squared", "wasserstein", "energy", "pearson"]
        ),
        "representation": trial.suggest_categorical("representation", ["loss", "feature"]),
        "steps": trial.suggest_int("steps", 1, 20, log=True),
        "step_size": trial.suggest_float("step_size", 0.1, 1.5, log=True),
        "warm_start": trial.suggest_categorical("warm_start", ["off", "memory", "decay"]),
        "reference_weight": trial.suggest_float("reference_weight", 0.03, 10.0, log=True),
    }}
    if values["divergence"] in ("mmd", "kl", "squared", "pearson"):
        values["bandwidth"] = trial.suggest_float("bandwidth", 0.1, 3.0, log=True)
    return values
"""


def append(row: dict[str, Any]) -> None:
    append_result(RESULTS, {**row, "commit": commit(), "machine": machine()})


def searched(column: str, data_dir: Path | None) -> dict[str, Any]:
    """The configuration that a search of this column picks, and its answer."""
    setting = COLUMNS[column]
    epochs = TrialConfig(**setting).epochs
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.py"
        space.write_text(SPACE.format(setting=setting, epochs=epochs))
        command = "-m adiw_tune.cli search space.py --name s --concurrency 1"
        options = f"--trials {TRIALS} --seed {SEARCH_SEED} --seeds {FINALE_SEEDS}"
        where = [] if data_dir is None else ["--data-dir", str(data_dir.resolve())]
        words = [sys.executable, *command.split(), *options.split(), *where]
        subprocess.run(words, cwd=folder, check=True, stdout=sys.stderr)
        best = "-m adiw_tune.cli best s --format json"
        said = subprocess.check_output([sys.executable, *best.split()], cwd=folder, text=True)
        config = picked_config(SearchRecord.open(Path(folder) / "adiw-searches", "s"))
    answer = json.loads(said)
    kept = ("divergence", "worth_it", "gain", "gain_interval", "gain_of", "gain_over", "verdict")
    return {"config": config, **{name: answer[name] for name in kept}}


def tested(config: dict[str, Any], data_dir: Path | None) -> float:
    training = TrainingRun(TrialConfig.from_mapping(config), data_dir=data_dir)
    while not training.finished:
        training.run_epoch()
    return round(training.metrics(training.splits.test)["accuracy"], 4)


def search(columns: list[str], data_dir: Path | None) -> None:
    torch.set_num_threads(1)
    for column in columns:
        rows = [row for row in results_in(RESULTS) if row["column"] == column]
        pick = next((row for row in rows if row["what"] == "answer"), None)
        if pick is None:
            pick = {"what": "answer", "column": column, **searched(column, data_dir)}
            append(pick)
        for seed in SEEDS:
            if not any((row["what"], row.get("seed")) == ("test", seed) for row in rows):
                test = tested({**pick["config"], "seed": seed}, data_dir)
                append({"what": "test", "column": column, "seed": seed, "test": test})


def table() -> None:
    rows, cells = results_in(RESULTS), by_cell()
    print("| data | picked | test | best row | best baseline | pick - best row | - baseline |")
    print("|---" * 7 + "|")
    answers = {row["column"]: row for row in rows if row["what"] == "answer"}
    for column, answer in answers.items():
        tests = [
            100 * row["test"] for row in rows if row["what"] == "test" if row["column"] == column
        ]
        means = {row: 100 * mean(cells[column, row]) for row in ROWS if cells[column, row]}
        if len(tests) < len(SEEDS) or not means:
            continue
        best = max(means, key=means.__getitem__)
        plain = max((row for row in BASELINES if row in means), key=means.__getitem__)
        pick = mean(tests)
        print(
            f"| {column} | {answer['divergence']} | {pick:.1f} ± {stdev(tests):.1f} "
            f"| {best} {means[best]:.1f} | {plain} {means[plain]:.1f} "
            f"| {pick - means[best]:+.1f} | {pick - means[plain]:+.1f} |"
        )
    print("\n| data | the search's answer |")
    print("|---|---|")
    for column, answer in answers.items():
        print(f"| {column} | {answer['verdict']} |")
    print(f"\nCommits {', '.join(sorted({row['commit'] for row in rows}))}.", end=" ")
    print(f"{'; '.join(sorted({row['machine'] for row in rows}))}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["search", "table"])
    parser.add_argument("--columns", nargs="+", choices=list(COLUMNS), default=list(COLUMNS))
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    search(given.columns, given.data_dir) if given.what == "search" else table()
