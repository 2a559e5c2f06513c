"""Searches of text and of real values, from the command line; benchmarks/searches.py has others."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from .helpers import adiw_tune, called

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SPACE = """
def space(trial):
    return {
        "task": "task.py",
        "shift": SHIFT,
        "divergence": trial.suggest_categorical("divergence", ["mmd", "wasserstein"]),
        "epochs": trial.suggest_int("epochs", MOST // 2, MOST),
        "batch_size": 64,
        "schedule": "cosine",
        "learning_rate": 0.01,
    }
"""
TOPICS = ("africa", "entertainment", "health", "nigeria", "politics", "sport", "world")
LABELS = {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "log_loss"}
ERRORS = {"rmse", "mae", "r2"}


def example(name: str) -> str:
    return (EXAMPLES / f"{name}_task.py").read_text()


def write_titles(folder: Path) -> None:
    """Files as the text example reads them: words of a topic among others; a third mislabelled."""
    draw = random.Random(0)
    for part, rows, wrong in (
        ("train-clean", 340, 0.0),
        ("train-clean-noisy-labels", 400, 0.33),
        ("train-noisy", 300, 0.33),
        ("test", 100, 0.0),
    ):
        lines = ["title\tlabel"]
        for row in range(rows):
            topic = draw.choice(TOPICS)
            words = [draw.choice([topic, f"{topic}{draw.randrange(9)}", "the"]) for _ in range(5)]
            label = draw.choice(TOPICS) if draw.random() < wrong else topic
            lines.append(f"{' '.join(words)} {part}{row}\t{label}")
        (folder / f"yoruba-{part}.tsv").write_text("\n".join(lines) + "\n")


def searched(folder: Path, task: str, shift: str, metric: str, most: int = 4) -> list[Any]:
    """Rows of the front of a search, the fastest first."""
    (folder / "task.py").write_text(task)
    (folder / "space.py").write_text(SPACE.replace("SHIFT", repr(shift)).replace("MOST", str(most)))
    options = ("--trials", "3", "--seeds", "0", "--concurrency", "1", "--data-dir", ".")
    options = (*options, "--no-baselines")
    ran = adiw_tune(folder, "search", "space.py", "--name", "s", "--metric", metric, *options)
    assert ran.returncode == 0, ran.stderr
    front: list[Any] = told(folder, "front", "s")
    assert {row["metric"] for row in front} == {metric}
    return front


def told(folder: Path, *words: str) -> Any:
    return json.loads(called(folder, *words, "--format", "json").stdout)


def test_text_in_dicts_by_balanced_accuracy(tmp_path: Path) -> None:
    write_titles(tmp_path)
    front = searched(tmp_path, example("text"), "none", "balanced_accuracy", most=6)
    assert front[-1]["value"] > 0.6  # of seven classes
    assert front[-1]["metrics"].keys() == LABELS
    reading = told(tmp_path, "finalize", "s")
    assert (reading["metric"], reading["rows"]) == ("balanced_accuracy", 100)


def test_real_values_by_rmse(tmp_path: Path) -> None:
    front = searched(tmp_path, example("regression"), "group-prior:10", "rmse", most=30)
    assert front[-1]["metrics"].keys() == ERRORS
    assert [row["value"] for row in front] == sorted((row["value"] for row in front), reverse=True)
    nearest = told(tmp_path, "best", "s", "--policy", "fastest-within=0")
    assert nearest["value"] == pytest.approx(min(row["value"] for row in front))
    assert nearest["value"] < 1  # of standardised values
    cheapest = told(tmp_path, "best", "s", "--policy", "fastest-within=9")
    assert cheapest["value"] == pytest.approx(front[0]["value"])
