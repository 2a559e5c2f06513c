"""Run whole searches on several kinds of data and metrics, and tabulate what they find.

    python benchmarks/searches.py run [--data-dir DIR]   # about 15 minutes; writes searches.json
    python benchmarks/searches.py table

Each runs ``adiw-tune search`` with 8 trials over divergence, epochs and rate, then ``finalize``.
DIR holds the news titles that docs/examples/text_task.py reads; without it that search is left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provenance import commit, machine

RESULTS = Path(__file__).with_suffix(".json")
ROOT = Path(__file__).parent.parent
TRIALS, SEEDS = 8, 3
SPACE = """
def space(trial):
    return {{
        "task": {task!r},
        "shift": {shift!r},
        "divergence": trial.suggest_categorical("divergence", ["mmd", "kl", "wasserstein"]),
        "epochs": trial.suggest_int("epochs", {epochs} // 2, {epochs}),
        "batch_size": 64,
        "schedule": "cosine",
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 3e-2, log=True),
    }}
"""


@dataclass(frozen=True)
class Search:
    """A task, its shift, the metric to search by, and the largest number of epochs."""

    name: str
    task: Path
    metric: str
    epochs: int
    shift: str = "none"
    needs_data: bool = False


EXAMPLES, OURS = ROOT / "docs" / "examples", Path(__file__).parent / "tasks"
SEARCHES = [
    Search("news titles", EXAMPLES / "text_task.py", "balanced_accuracy", 12, needs_data=True),
    Search("breast cancer", OURS / "cancer.py", "worst_group_accuracy", 20, "pair:0.3"),
    Search("rare positives", OURS / "rare.py", "average_precision", 12, "symmetric:0.05"),
    Search("diabetes", EXAMPLES / "regression_task.py", "rmse", 30, "group-prior:10"),
    Search("several labels", EXAMPLES / "multilabel_task.py", "macro_f1", 16, "symmetric:0.3"),
]


def adiw_tune(folder: Path, *words: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "adiw_tune.cli", *words]
    ran = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout


def outcome(search: Search, data_dir: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = {"task": str(search.task), "shift": search.shift, "epochs": search.epochs}
        (folder / "space.py").write_text(SPACE.format(**values))
        options = ["--name", "s", "--metric", search.metric, "--no-early-stopping"]
        options += ["--trials", str(TRIALS), "--seeds", str(SEEDS), "--concurrency", "1"]
        if search.needs_data:
            options += ["--data-dir", str(data_dir)]
        adiw_tune(folder, "search", "space.py", *options)
        best = json.loads(adiw_tune(folder, "best", "s", "--format", "json"))
        test = json.loads(adiw_tune(folder, "finalize", "s", "--format", "json"))
        lines = (folder / "adiw-searches/s/events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    trials = {e["trial"] for e in events if e["event"] == "trial" and e["kind"] == "search"}
    ends = [e["metrics"] for e in events if e["event"] == "end" and e["trial"] in trials]
    return {
        "search": search.name,
        "shift": search.shift,
        "metric": search.metric,
        "trials": {name: [end[name] for end in ends] for name in ends[0]},
        "divergence": best["divergence"],
        "value": best["value"],
        "interval": best["interval"],
        "test": test["value"],
        "test_interval": test["interval"],
    }


def run(data_dir: Path | None) -> None:
    rows = []
    for search in SEARCHES:
        if search.needs_data and data_dir is None:
            continue
        rows.append(outcome(search, data_dir))
        print(search.name, file=sys.stderr, flush=True)
    result = {"commit": commit(), "machine": machine(), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def span(values: list[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"


def with_interval(value: float, interval: list[float] | None) -> str:
    ends = f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"{value:.3f}{ends}"


def table() -> None:
    result = json.loads(RESULTS.read_text())
    print("| data, shift | metric | over trials | accuracy | pick | select | test |")
    print("|---" * 7, end="|\n")
    for row in result["rows"]:
        trials = row["trials"]
        accuracy = span(trials["accuracy"]) if "accuracy" in trials else "-"
        print(
            f"| {row['search']}, {row['shift']} | {row['metric']} | {span(trials[row['metric']])} "
            f"| {accuracy} | {row['divergence']} | {with_interval(row['value'], row['interval'])} "
            f"| {with_interval(row['test'], row['test_interval'])} |"
        )
    print(f"\n{TRIALS} trials, commit {result['commit']}, {result['machine']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.data_dir)
    else:
        table()
