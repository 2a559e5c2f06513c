"""``adiw-tune train``: a pick trained again gives the number that the search saw."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.tasks import find_task

from .conftest import Finished
from .helpers import adiw_tune, called, of_kind

Run = Callable[..., subprocess.CompletedProcess[str]]
QUICK = ("--epochs", "2", "--batch-size", "64", "--learning-rate", "0.003")


def train(folder: Path, *arguments: str, run: Run = called) -> dict[str, Any]:
    ran = run(folder, "train", *arguments, "--format", "json")
    assert ran.returncode == 0, ran.stderr
    printed: dict[str, Any] = json.loads(ran.stdout)
    return printed


@pytest.mark.parametrize(("policy", "run"), [("knee", adiw_tune), ("fastest-within=0", called)])
def test_a_pick_trained_again_has_the_accuracy_of_its_trial(
    finished: Finished, policy: str, run: Run
) -> None:
    best = called(finished.folder, "best", "s", "--policy", policy, "--format", "json")
    decision = json.loads(best.stdout)
    again = train(finished.folder, "--from", "s", "--policy", policy, run=run)
    configs = {event["trial"]: event["config"] for event in of_kind(finished.events, "trial")}
    assert again["config"] == configs[decision["trial"]]
    assert again["accuracy"]["select"] == decision["accuracy"]
    assert 0 <= again["accuracy"]["test"] <= 1
    assert again["train_seconds"] > 0


def test_the_same_flags_give_the_same_accuracies_and_a_network_that_loads(tmp_path: Path) -> None:
    flags = ("--divergence", "kl", "--bandwidth", "0.5", "--seed", "5", *QUICK)
    first = train(tmp_path, *flags, "--output", "net.pt", run=adiw_tune)
    assert train(tmp_path, *flags)["accuracy"] == first["accuracy"]
    assert first["config"]["divergence"] == "kl"
    assert first["config"]["bandwidth"] == 0.5
    network = find_task("digits").network()
    network.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    test = find_task("digits").load(None)[1]
    right = (network.eval()(test.inputs).argmax(dim=1) == test.labels).float().mean()
    assert float(right) == pytest.approx(first["accuracy"]["test"])


def test_flags_override_the_pick(finished: Finished) -> None:
    again = train(finished.folder, "--from", "s", "--epochs", "1", "--seed", "9")
    best = json.loads(called(finished.folder, "best", "s", "--format", "json").stdout)
    configs = {event["trial"]: event["config"] for event in of_kind(finished.events, "trial")}
    assert again["config"] == {**configs[best["trial"]], "epochs": 1, "seed": 9}


def test_without_a_format_it_speaks(tmp_path: Path) -> None:
    ran = called(tmp_path, "train", *QUICK, "--method", "erm")
    roles = [line.split()[:2] for line in ran.stdout.splitlines()[:3]]
    assert roles == [["reference", "accuracy"], ["select", "accuracy"], ["test", "accuracy"]]
    assert ran.stdout.splitlines()[3].startswith("trained in ")
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["epoch 1/2", "epoch 2/2"]
    assert list(tmp_path.iterdir()) == []


def test_training_that_diverges_says_what_to_try(tmp_path: Path) -> None:
    ran = called(tmp_path, "train", "--epochs", "3", "--learning-rate", "1e30", "--output", "n")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("error: the training loss became ")
    assert "try a smaller --learning-rate" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []
