"""Recipes by name: those of published baselines, and one for residual networks on CIFAR."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from adiw_tune.arms import BASELINES
from adiw_tune.divergences import DIVERGENCES, has_bandwidth
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_whole, shown
from adiw_tune.training.config.checks import MOST_ROWS
from adiw_tune.training.config.recipe import CHOICES, OWN, SELF_WARMING, Recipe, unread_fields
from adiw_tune.training.config.weights import FITTING_THEM_ANYWAY

# Methods whose loss is a sum over the mini-batch; of the others it is a mean.
_SUMMED = ("diw-published",)

_OF_SUMS = ("diw",)  # recipes whose rate and weight decay are of such a loss

RECIPES: dict[str, dict[str, Any]] = {
    # Fang et al., "Rethinking importance weighting for deep learning under distribution shift",
    # NeurIPS 2020, by the code released with it: Fashion-MNIST, LeNet, 1,000 clean rows.
    "diw": {
        "epochs": 400,
        "batch_size": 256,
        "reference_batch_size": 256,
        "warmup_epochs": 1,
        "optimizer": "sgd",
        "learning_rate": 3e-4,
        "weight_decay": 1e-4,
        "schedule": "step",
        "lr_step_epochs": 100,
        "lr_gamma": 0.1,
    },
    # Fang et al., "Generalizing importance weighting to a universal solver for distribution shift
    # problems", NeurIPS 2023, by the code released with it: coloured digits. That code lowers the
    # rate after epochs 110, 210 and 310, since its schedule does not count the ten epochs of
    # warm-up. Here the schedule counts them: the rate drops after epochs 100, 200, 300 and 400.
    "giw": {
        "epochs": 410,
        "batch_size": 256,
        "reference_batch_size": 256,
        "warmup_epochs": 10,
        "optimizer": "adam",
        "learning_rate": 5e-4,
        "weight_decay": 2e-3,
        "schedule": "step",
        "lr_step_epochs": 100,
        "lr_gamma": 0.1,
    },
    # Zagoruyko, Komodakis, "Wide residual networks", 2016, for rate, Nesterov and weight decay;
    # Loshchilov, Hutter, "SGDR", 2017, for the cosine.
    "resnet": {
        "epochs": 200,
        "batch_size": 128,
        "reference_batch_size": 128,
        "warmup_epochs": 10,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "schedule": "cosine",
    },
}


def with_recipe(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` merged over the recipe that their key ``recipe`` names; the key is removed.

    A recipe for a summed loss is converted for methods that average the loss, see
    :func:`for_loss_of`.

    Raises:
        UserError: there is no recipe of this name.
    """
    values = dict(values)
    name = values.pop("recipe", None)
    if name is None:
        return values
    if not isinstance(name, str) or name not in RECIPES:
        raise UserError(f"unknown recipe {shown(name)}: choose one of {', '.join(RECIPES)}")
    recipe = dict(RECIPES[name])
    if name in _OF_SUMS and values.get("method") not in _SUMMED:
        rows = {**recipe, **values}["batch_size"]
        check_whole("batch_size", rows, 1, MOST_ROWS)
        recipe = _of_mean(recipe, rows)
    return _over(recipe, values)


def for_loss_of(method: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The ``values`` of a configuration, with a recipe whose updates are the same for ``method``.

    diw-published sums the loss over the n rows of a mini-batch, all others average it. For SGD,
    rate a, decay λ and clipping at c on the sum are the same as a n, λ / n and c / n on the mean.
    Steps of adam and adamw do not depend on the scale of the loss; decay does for adam.
    """
    was_summed, is_summed = (one in _SUMMED for one in (values.get("method"), method))
    if "method" not in values or was_summed == is_summed:
        return dict(values)
    rows = float(values["batch_size"])
    return _of_mean(values, rows if was_summed else 1 / rows)


def _of_mean(values: Mapping[str, Any], rows: float) -> dict[str, Any]:
    """From values for the sum over ``rows`` rows those for the mean; unset ones stay unset."""
    optimizer, values = values.get("optimizer"), dict(values)
    if optimizer == "sgd" and "learning_rate" in values:
        values["learning_rate"] *= rows
    if optimizer != "adamw" and values.get("weight_decay") is not None:
        values["weight_decay"] /= rows
    if values.get("clip_norm") is not None:
        values["clip_norm"] /= rows
    return values


def with_changes(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values ``base`` of a configuration, with those ``given`` in their place.

    A recipe replaces all fields of the earlier one except the precision. Fields of ``base`` that no
    longer apply are dropped: those that the new optimiser or schedule does not read, nesterov if
    momentum is 0, lr_warmup_epochs if the new schedule has a warm-up of its own, the bandwidth if
    the new divergence has no kernel, the ridge if the new method is not diw, and the reference
    weight if the new method is plain or fits the reference rows in its own way. The recipe of
    ``base`` is converted for the loss of the new method, see :func:`for_loss_of`. If the task
    changes, the network, the settings of the model and the choice ``own`` of optimiser or schedule
    are dropped too. Settings of the model replace those of the same name.

    Raises:
        UserError: there is no recipe of the name given.
    """
    base = for_loss_of(given.get("method", base.get("method")), base)
    if "recipe" in given:
        for field in dataclasses.fields(Recipe):
            if field.name != "precision":
                base.pop(field.name, None)
    method = {"method": base["method"]} if "method" in base else {}
    given = with_recipe({**method, **given})
    if not _same_task(base, given):
        of_task = {"network", "model", *(choice for choice in CHOICES if base.get(choice) == OWN)}
        base = {name: value for name, value in base.items() if name not in of_task}
    model = {**(base.get("model") or {}), **(given.get("model") or {})}
    return {**_over(base, given), **({"model": model} if model else {})}


def _over(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` updated by ``given``, without the fields of ``base`` that no longer apply."""
    dropped: set[str] = set()
    for choice in CHOICES:
        if isinstance(chosen := given.get(choice), str):
            dropped.update(unread_fields(choice, chosen))
    if given.get("momentum") == 0:
        dropped.add("nesterov")
    if given.get("schedule") in SELF_WARMING:
        dropped.add("lr_warmup_epochs")
    if "divergence" in given and not _has_bandwidth(given["divergence"]):
        dropped.add("bandwidth")
    if given.get("method", "diw") != "diw":
        dropped.add("ridge")
    if given.get("method") in (*BASELINES, *FITTING_THEM_ANYWAY):
        dropped.add("reference_weight")
    return {**{name: value for name, value in base.items() if name not in dropped}, **given}


def _same_task(base: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    if "task" not in given:
        return True
    # Absolute, since a file may be named by two paths.
    return "task" in base and os.path.abspath(base["task"]) == os.path.abspath(given["task"])


def _has_bandwidth(divergence: Any) -> bool:
    return isinstance(divergence, str) and divergence in DIVERGENCES and has_bandwidth(divergence)
