"""``adiw-tune train``: a pick trained again gives the number that the search saw."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.tasks import find_task, parse_shift
from adiw_tune.tasks.rows import loaded
from adiw_tune.training import METHODS

from .conftest import Finished
from .helpers import adiw_tune, called, of_kind

Run = Callable[..., subprocess.CompletedProcess[str]]
EXAMPLE_TASK = Path(__file__).parents[2] / "docs" / "examples" / "my_task.py"
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
    ends = {event["trial"]: event for event in of_kind(finished.events, "end")}
    assert again["accuracy"]["select"] == ends[decision["trial"]]["metrics"]["accuracy"]
    assert again["accuracy"].keys() == {"reference", "select"}  # test is for finalize
    assert again["train_seconds"] > 0


def test_the_same_flags_give_the_same_accuracies_and_a_network_that_loads(tmp_path: Path) -> None:
    flags = ("--divergence", "kl", "--bandwidth", "0.5", "--seed", "5", *QUICK)
    first = train(tmp_path, *flags, "--output", "net.pt", run=adiw_tune)
    assert train(tmp_path, *flags)["accuracy"] == first["accuracy"]
    assert first["config"]["divergence"] == "kl"
    assert first["config"]["bandwidth"] == 0.5
    task = find_task("digits")
    network = task.network(task.splits(parse_shift("none"), seed=0))
    network.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    test = loaded(task.load(None).test)
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
    what, *epochs = ran.stderr.splitlines()
    assert what == "digits, shift symmetric:0.4, method erm"
    assert [line.split(":")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert list(tmp_path.iterdir()) == []


def test_auto_tells_the_shares_of_each_epoch(tmp_path: Path) -> None:
    ran = called(tmp_path, "train", *QUICK, "--divergence", "auto", "--format", "json")
    assert json.loads(ran.stdout)["config"]["divergence"] == "auto"
    for line in ran.stderr.splitlines()[1:]:
        shares = dict(re.findall(r", (\w+) (\d+)%", line))
        assert {"mmd", "pearson"} <= shares.keys() <= DIVERGENCES.keys()
        assert sum(map(int, shares.values())) == pytest.approx(100, abs=len(shares))
    plain = called(tmp_path, "train", *QUICK)
    assert "%" not in plain.stderr


def test_network_precision_and_shifts_in_turn_are_options(tmp_path: Path) -> None:
    flags = ("--network", "small-cnn", "--precision", "bfloat16", *QUICK)
    shift = "class-prior:5+symmetric:0.2"
    printed = train(tmp_path, *flags, "--shift", shift)
    chosen = {name: printed["config"][name] for name in ("network", "precision", "shift")}
    assert chosen == {"network": "small-cnn", "precision": "bfloat16", "shift": shift}
    rounded, exact = train(tmp_path, *flags), train(tmp_path, *QUICK)
    assert rounded["accuracy"] != exact["accuracy"]


def test_a_divergence_of_ones_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "wide.py").write_text(
        "from adiw_tune.divergences import KL\nDIVERGENCE = KL(bandwidth=0.5)\n"
    )
    own = train(tmp_path, "--divergence", "wide.py", *QUICK)
    named = train(tmp_path, "--divergence", "kl", "--bandwidth", "0.5", *QUICK)
    assert own["accuracy"] == named["accuracy"]
    assert own["config"]["divergence"] == "wide.py"


def test_help_names_every_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = set(re.findall(r"[\w-]+", called(tmp_path, "train", "--help").stdout))
    assert {*METHODS, *DIVERGENCES, "auto", "group-prior", "bfloat16", "digits"} <= words


def test_training_that_diverges_says_what_to_try(tmp_path: Path) -> None:
    ran = called(tmp_path, "train", "--epochs", "3", "--learning-rate", "1e30", "--output", "n")
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[-1].startswith("error: the training loss became ")
    assert "try a smaller --learning-rate" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_recipe_and_its_fields_are_options(tmp_path: Path) -> None:
    flags = ("--recipe", "resnet", "--epochs", "2", "--learning-rate", "0.05", "--clip-norm", "1")
    config = train(tmp_path, *flags, "--no-nesterov", "--lr-end", "0.1")["config"]
    assert (config["optimizer"], config["momentum"], config["nesterov"]) == ("sgd", 0.9, False)
    assert (config["schedule"], config["lr_end"], config["epochs"]) == ("cosine", 0.1, 2)
    assert (config["learning_rate"], config["weight_decay"]) == (0.05, 5e-4)


def test_a_recipe_over_a_pick_is_for_the_picks_method(finished: Finished) -> None:
    config = train(finished.folder, "--from", "s", "--recipe", "diw", "--epochs", "1")["config"]
    assert (config["optimizer"], config["learning_rate"]) == ("sgd", 3e-4 * 256)


def test_settings_of_the_network_are_options(tmp_path: Path) -> None:
    code = EXAMPLE_TASK.read_text().replace("def model()", "def model(width=128, act=None)")
    (tmp_path / "mine.py").write_text(
        code.replace("Linear(2, 128)", "Linear(2, width)").replace(
            "Linear(128, 128)", "Linear(width, 128)"
        )
    )
    flags = ("--task", "mine.py", "--epochs", "1", "--model", "width=7", "--output", "net.pt")
    assert train(tmp_path, *flags, "--model", "act=relu")["config"]["model"] == {
        "width": 7,
        "act": "relu",
    }
    assert len(torch.load(tmp_path / "net.pt", weights_only=True)["0.bias"]) == 7
    for setting, told in (
        ("width", "--model is 'width': write a setting and its value, like width=128"),
        ("depth=3", "model() of 'mine.py' takes width, act: got an unexpected keyword"),
    ):
        ran = called(tmp_path, "train", "--task", "mine.py", "--model", setting)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert told in ran.stderr


def test_targets_without_a_metric_are_told_before_the_network_is_tried(tmp_path: Path) -> None:
    more = (
        "TARGETS = 'own'\n\n\ndef loss(outputs, targets):\n"
        "    return nn.functional.cross_entropy(outputs, targets, reduction='none')\n"
        "\n\ndef model():\n    raise RuntimeError('made too early')\n"
    )
    (tmp_path / "mine.py").write_text(EXAMPLE_TASK.read_text() + more)
    ran = called(tmp_path, "train", "--task", "mine.py", *QUICK)
    assert ran.returncode == 2
    assert ran.stderr == (
        "error: task 'mine.py' has targets of kind own, to which no built-in metric applies: "
        "define metric(outputs, targets, groups)\n"
    )


def test_training_that_diverges_by_its_own_optimiser_names_it(tmp_path: Path) -> None:
    more = (
        "\ndef optimizer(model, config):\n"
        "    return torch.optim.SGD(model.parameters(), lr=float('inf'))\n"
    )
    (tmp_path / "mine.py").write_text(EXAMPLE_TASK.read_text() + more)
    ran = called(tmp_path, "train", "--task", "mine.py", *QUICK)
    assert ran.returncode == 2
    told = ": try smaller rates in optimizer() of 'mine.py', or a smaller --step-size"
    assert ran.stderr.splitlines()[-1].endswith(told)
