"""Recipes by name, and what options change of a configuration."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.training import METHODS, RECIPES, TrialConfig
from adiw_tune.training.config import with_changes, with_recipe


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_is_a_configuration_for_every_method(name: str, method: str) -> None:
    config = TrialConfig.from_mapping({"recipe": name, "method": method, "epochs": 7})
    assert config.epochs == 7
    assert config.optimizer == RECIPES[name]["optimizer"]


def test_rate_and_decay_of_a_sum_are_those_of_a_mean_elsewhere() -> None:
    published, own = (
        with_recipe({"recipe": "diw", "method": m}) for m in ("diw-published", "adiw")
    )
    assert (published["learning_rate"], published["weight_decay"]) == (3e-4, 1e-4)
    parameter, gradient = torch.tensor(0.7), torch.tensor(0.3)  # of the mean over 256 rows
    moved = [
        one["learning_rate"] * (rows * gradient + one["weight_decay"] * parameter)
        for one, rows in ((published, 256), (own, 1))
    ]
    torch.testing.assert_close(*moved)


@pytest.mark.parametrize("name", ["adam", 3, ["diw"]])
def test_an_unknown_recipe_is_refused(name: Any) -> None:
    with pytest.raises(UserError, match=r"unknown recipe .*: choose one of diw, giw, resnet"):
        TrialConfig.from_mapping({"recipe": name})


# A pick of a search, and what a user gives beside it.
PICK = {
    "task": "digits",
    "method": "adiw",
    "epochs": 3,
    "optimizer": "sgd",
    "momentum": 0.9,
    "nesterov": True,
    "schedule": "step",
    "lr_gamma": 0.5,
    "clip_norm": 0.5,
    "precision": "bfloat16",
    "steps": 7,
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"epochs": 5}, {**PICK, "epochs": 5}),
        ({"schedule": "cosine"}, {n: v for n, v in PICK.items() if n != "lr_gamma"}),
        (
            {"optimizer": "adam"},
            {n: v for n, v in PICK.items() if n not in ("momentum", "nesterov")},
        ),
        ({"optimizer": "own"}, PICK),
        ({"optimizer": "sgd", "momentum": 0.5}, {**PICK, "momentum": 0.5}),
    ],
)
def test_with_changes_drops_fields_of_the_earlier_choice(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert with_changes(PICK, given) == {**expected, **given}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "step", "onecycle"])
def test_each_choice_can_be_made_beside_a_recipe(name: str, optimizer: str, schedule: str) -> None:
    given = {"recipe": name, "optimizer": optimizer, "schedule": schedule}
    for base in ({}, PICK):
        config = TrialConfig.from_mapping(with_changes(base, given))
        assert (config.optimizer, config.schedule) == (optimizer, schedule)
        assert config.epochs == RECIPES[name]["epochs"]


@pytest.mark.parametrize(
    ("pick", "given", "dropped"),
    [
        ({"lr_warmup_epochs": 2}, {"schedule": "onecycle"}, {"lr_warmup_epochs", "lr_gamma"}),
        ({"lr_warmup_epochs": 2}, {"schedule": "cosine"}, {"lr_gamma"}),
        ({"divergence": "mmd", "bandwidth": 1.3}, {"divergence": "wasserstein"}, {"bandwidth"}),
        ({"divergence": "mmd", "bandwidth": 1.3}, {"divergence": "auto"}, {"bandwidth"}),
        ({"divergence": "mmd", "bandwidth": 1.3}, {"divergence": "kl"}, set()),
        ({"method": "diw", "ridge": 0.1}, {"method": "adiw"}, {"ridge"}),
        ({"method": "diw", "ridge": 0.1}, {"steps": 3}, set()),
        ({}, {"momentum": 0.0}, {"nesterov"}),
        ({}, {"momentum": 0.5}, set()),
    ],
)
def test_what_means_nothing_under_the_new_choice_is_dropped(
    pick: dict[str, Any], given: dict[str, Any], dropped: set[str]
) -> None:
    base = {**PICK, **pick}
    values = with_changes(base, given)
    assert base.keys() - values.keys() == dropped
    TrialConfig.from_mapping(values)


def test_what_belongs_to_another_task_is_dropped(tmp_path: Path) -> None:
    base = {"task": str(tmp_path / "mine.py"), "model": {"width": 64}}
    of_task = {"network": "model", "optimizer": "own", "schedule": "own"}
    assert with_changes({**base, **of_task}, {"task": "digits"}) == {"task": "digits"}
    other = {"task": "other.py", "model": {"depth": 2}}
    assert with_changes(base, other) == other
    same = {"task": os.path.relpath(base["task"]), "model": {"depth": 2}}
    assert with_changes(base, same) == {**same, "model": {"width": 64, "depth": 2}}


def test_a_recipe_replaces_the_earlier_one() -> None:
    values = with_changes(PICK, {"recipe": "giw", "seed": 4})
    kept = {name: PICK[name] for name in ("task", "method", "precision", "steps")}
    assert values == {**kept, **with_recipe({"recipe": "giw", "method": "adiw"}), "seed": 4}
    TrialConfig.from_mapping(values)


def test_settings_of_the_model_are_replaced_one_by_one() -> None:
    base = {"model": {"width": 8, "depth": 3}}
    assert with_changes(base, {"model": {"width": 3}}) == {"model": {"width": 3, "depth": 3}}
    assert with_changes(base, {}) == base
    assert with_changes({}, {"epochs": 1}) == {"epochs": 1}
