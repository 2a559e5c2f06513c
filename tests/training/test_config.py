"""The configuration: validated where it is made, each error one line that names the thing."""

import math
from dataclasses import Field, FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from adiw_tune.divergences import DIVERGENCES
from adiw_tune.errors import UserError
from adiw_tune.training import METHODS, TrialConfig
from adiw_tune.training.config import REPRESENTATIONS
from adiw_tune.training.methods import _METHODS

REPOSITORY = Path(__file__).parent.parent.parent
BAD: list[tuple[dict[str, Any], str]] = [
    ({"task": "mnist"}, "unknown task 'mnist': choose one of digits, fashion-mnist"),
    ({"shift": "pair"}, "shift 'pair' needs a number"),
    ({"shift": "noise:0.3"}, "unknown shift 'noise:0.3'"),
    ({"method": "random-forest"}, "unknown method 'random-forest': choose one of adiw, giw, diw"),
    ({"method": "random-forest", "divergence": "auto"}, "unknown method 'random-forest'"),
    ({"network": "resnet"}, "task 'digits' has no network 'resnet': choose one of small-cnn"),
    ({"precision": "float16"}, "unknown precision 'float16': choose one of float32, bfloat16"),
    ({"shift": "group-prior:0.5"}, "group-prior ratio must be at least 1; got 0.5"),
    ({"shift": "pair:0.4+class-prior"}, "shift 'class-prior' needs a number after the colon"),
    ({"divergence": "none.py"}, "no divergence file 'none.py'"),
    ({"divergence": "auto", "bandwidth": 1.0}, "takes each divergence's own bandwidth: leave it"),
    ({"divergence": "auto", "method": "erm"}, "auto is for method adiw, giw or random: not erm"),
    ({"divergence": "auto", "method": "static"}, "adiw, giw or random: not static"),
    ({"divergence": "kl", "method": "diw-published"}, "diw-published solves the mmd problem only"),
    ({"divergence": "tv"}, "unknown divergence 'tv': choose one of mmd"),
    ({"steps": 0}, "steps must be at least 1; got 0"),
    ({"step_size": 2.0}, r"step_size must lie in \(0, 2\), 1 being 1/L; got 2.0"),
    ({"step_size": 0.0}, r"step_size must lie in \(0, 2\)"),
    ({"bandwidth": 0.0}, "bandwidth must be above 0; got 0.0"),
    ({"divergence": "wasserstein", "bandwidth": 1.0}, "'wasserstein' has no kernel"),
    ({"method": "diw", "ridge": -0.1}, r"ridge must lie in \[0, 10\^6\]; got -0.1"),
    ({"method": "diw", "ridge": float("nan")}, r"ridge must lie in \[0, 10\^6\]; got nan"),
    ({"method": "diw", "ridge": float("inf")}, r"ridge must lie in \[0, 10\^6\]; got inf"),
    ({"ridge": 0.01}, "ridge is for method diw: leave it out for adiw"),
    ({"method": "diw-published", "ridge": 0.0}, "leave it out for diw-published"),
    ({"warm_start": "hot"}, "unknown warm_start 'hot': choose one of off, memory, decay"),
    ({"warm_start": "decay", "decay": 1.0}, r"decay must lie in \(0, 1\); got 1.0"),
    ({"warm_start": "decay", "decay": 0.0}, r"decay must lie in \(0, 1\); got 0.0"),
    ({"warmup_epochs": -1}, "warmup_epochs must be at least 0; got -1"),
    ({"representation": "logit"}, "unknown representation 'logit': choose one of loss, feature"),
    ({"method": "diw", "divergence": "kl"}, "method diw solves the mmd problem only"),
    ({"cap": 0.5}, "cap must be at least 1"),
    ({"slack": 1.0}, r"slack must lie in \[0, 1\); got 1.0"),
    ({"epochs": 0}, "epochs must be at least 1; got 0"),
    ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
    ({"reference_batch_size": 0}, "reference_batch_size must be at least 1; got 0"),
    ({"learning_rate": 0.0}, "learning_rate must be above 0; got 0.0"),
    ({"learning_rate": float("nan")}, "learning_rate must be above 0; got nan"),
    ({"learning_rate": float("inf")}, r"learning_rate must lie in \[1e-38, 1e\+38\]; got inf"),
    ({"learning_rate": 1e300}, r"learning_rate must lie in \[1e-38, 1e\+38\]; got 1e\+300"),
    ({"bandwidth": float("inf")}, r"bandwidth must lie in \[1e-06, 1e\+06\]; got inf"),
    ({"bandwidth": 1e-320}, r"bandwidth must lie in \[1e-06, 1e\+06\]; got 1e-320"),
    ({"step_size": 1e-320}, r"step_size must lie in \[1e-06, 2\]; got 1e-320"),
    ({"cap": float("inf")}, r"cap must be at most 1e\+06; got inf"),
    ({"steps": 10**30}, "steps must be at most 1000000; got 1000000000000000000000000000000"),
    ({"epochs": 10**5000}, "epochs must be at most 1000000; got a number of more than 4,000 dig"),
    ({"reference_size": 0}, "reference_size must be at least 1; got 0"),
    ({"folds": 0}, "folds must be at least 1; got 0"),
    ({"fold": -1, "folds": 3}, "fold must be at least 0; got -1"),
    ({"fold": 1}, "fold must be below folds, 1; got 1"),
    ({"fold": 5, "folds": 5}, "fold must be below folds, 5; got 5"),
    ({"seed": -1}, "seed must be at least 0; got -1"),
    ({"optimizer": "lion"}, "unknown optimizer 'lion': choose one of adam, adamw, sgd, own"),
    ({"optimizer": "own"}, r"optimizer own needs optimizer\(model, config\) in a task file"),
    ({"schedule": "linear"}, "unknown schedule 'linear': choose one of constant, cosine, step"),
    ({"schedule": "own"}, r"schedule own needs scheduler\(optimizer, steps\) in a task file"),
    ({"momentum": 0.9}, "momentum is for optimizer sgd: leave it out for adam"),
    ({"momentum": 1.0, "optimizer": "sgd"}, r"momentum must lie in \[0, 1\); got 1.0"),
    ({"nesterov": True, "optimizer": "sgd"}, "nesterov needs momentum above 0; got 0.0"),
    ({"weight_decay": -1e-4}, r"weight_decay must lie in \[0, 10\^6\]; got -0.0001"),
    ({"lr_gamma": 0.1}, "lr_gamma is for schedule step: leave it out for constant"),
    ({"lr_gamma": 0.0, "schedule": "step"}, r"lr_gamma must lie in \(0, 1\]; got 0.0"),
    ({"lr_step_epochs": 3, "schedule": "cosine"}, "lr_step_epochs is for schedule step"),
    ({"lr_end": 2.0, "schedule": "cosine"}, r"lr_end must lie in \[0, 1\]; got 2.0"),
    ({"lr_rise": 1.0, "schedule": "onecycle"}, r"lr_rise must lie in \[0.01, 0.99\]; got 1.0"),
    ({"lr_warmup_epochs": 1, "schedule": "onecycle"}, "schedule onecycle has a warm-up of its own"),
    ({"lr_epochs": 7}, "lr_epochs must be at least 8; got 7"),
    ({"clip_norm": 0.0}, "clip_norm must be above 0; got 0.0"),
    ({"label_smoothing": 1.0}, r"label_smoothing must lie in \[0, 1\); got 1.0"),
    ({"model": {"width": 64}}, "task 'digits' has no settings of its network: leave model out"),
    ({"model": {"a b": 64}}, "model has the setting 'a b': use names of arguments"),
    ({"model": {"width": math.inf}}, "model has width inf: use an int, a finite float"),
    ({"nesterov": True}, "nesterov is for optimizer sgd: leave it out for adam"),
    ({"model": {"width": [64]}}, r"model has width \[64\]: use an int, a finite float"),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=[next(iter(values)) for values, _ in BAD])
def test_bad_value_is_refused_in_one_line(values: dict[str, Any], message: str) -> None:
    for make in (TrialConfig, lambda **kwargs: TrialConfig.from_mapping(kwargs)):
        with pytest.raises(UserError, match=message) as caught:
            make(**values)
        assert "\n" not in str(caught.value)


# Of numbers that seem extreme, those that are points of a range like any other.
MEANT = {
    "warmup_epochs": [0],
    "slack": [0, 1e-320],
    "decay": [1e-320],
    "fold": [0],
    "seed": [0],
    "momentum": [1e-320],
    "weight_decay": [1e-320],
    "label_smoothing": [1e-320],
    "lr_warmup_epochs": [0],
}
# Where it takes another choice for a field to be read.
READ = {
    "momentum": {"optimizer": "sgd"},
    "ridge": {"method": "diw"},
    "lr_end": {"schedule": "cosine"},
    "lr_step_epochs": {"schedule": "step"},
    "lr_gamma": {"schedule": "step"},
    "lr_rise": {"schedule": "onecycle"},
}
MEANT |= {"ridge": [1e-320], "lr_end": [1e-320], "reference_weight": [1e-320]}


@pytest.mark.parametrize("field", fields(TrialConfig), ids=lambda field: field.name)
def test_no_number_is_taken_that_means_nothing(field: Field[Any]) -> None:
    """Each field that there is, also one that is new."""
    extremes: dict[str, list[float]] = {
        "int": [-1, 0, 10**30, 10**5000],
        "float": [math.nan, math.inf, -math.inf, -1, 1e300, 1e-320, 10**400],
    }
    kind = getattr(field.type, "__name__", str(field.type)).removesuffix(" | None")
    for value in extremes.get(kind, []):
        if value not in MEANT.get(field.name, []):
            with pytest.raises(UserError) as caught:
                TrialConfig.from_mapping({**READ.get(field.name, {}), field.name: value})
            assert field.name in str(caught.value)


@pytest.mark.parametrize(
    ("task", "shift"),
    [
        ("digits", "symmetric:0.4"),
        ("color-fashion", "group-prior:inf"),
        ("image-folder", "none"),
        ("docs/examples/my_task.py", "none"),
    ],
)
def test_a_shift_not_named_is_the_tasks_own(task: str, shift: str) -> None:
    task = str(REPOSITORY / task) if task.endswith(".py") else task
    assert TrialConfig(task=task).as_dict()["shift"] == shift
    assert TrialConfig(task=task, shift="pair:0.3").shift == "pair:0.3"


@pytest.mark.parametrize("value", [1, "yes", None])
def test_what_is_a_switch_takes_nothing_else(value: Any) -> None:
    assert TrialConfig.from_mapping({"compiled": True}).compiled is True
    with pytest.raises(UserError, match=f"compiled must be of type bool; got {value!r}"):
        TrialConfig.from_mapping({"compiled": value})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_accepted(method: str) -> None:
    assert TrialConfig(method=method).method == method


def test_the_methods_accepted_are_those_there_are() -> None:
    assert tuple(_METHODS) == METHODS


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("divergence", [*DIVERGENCES, "auto"])
def test_every_divergence_takes_either_representation(divergence: str, representation: str) -> None:
    config = TrialConfig(divergence=divergence, representation=representation)
    assert (config.divergence, config.representation) == (divergence, representation)


@pytest.mark.parametrize(
    ("values", "retention"),
    [
        ({}, 0.5),
        ({"warm_start": "off"}, 0.0),
        ({"warm_start": "memory"}, 1.0),
        ({"warm_start": "decay", "decay": 0.3}, 0.3),
    ],
)
def test_warm_start_fixes_the_retention(values: dict[str, Any], retention: float) -> None:
    assert TrialConfig(**values).retention == retention


def test_solver_is_the_one_asked_for() -> None:
    solver = TrialConfig(steps=7, step_size=0.5, cap=9.0, slack=0.2).solver()
    assert (solver.steps, solver.step_size) == (7, 0.5)
    assert (solver.feasible.cap, solver.feasible.slack) == (9.0, 0.2)


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        TrialConfig().seed = 3  # type: ignore[misc]


def test_dict_of_a_configuration_makes_it_again() -> None:
    config = TrialConfig(divergence="kl", bandwidth=0.5, warm_start="decay", decay=0.2, seed=4)
    assert set(config.as_dict()) == {field.name for field in fields(TrialConfig)}
    assert TrialConfig.from_mapping(config.as_dict()) == config


def test_whole_number_does_for_a_fraction() -> None:
    assert TrialConfig.from_mapping({"step_size": 1, "cap": 10}).cap == 10


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("steps", 2.0, "int"),
        ("steps", "2", "int"),
        ("epochs", True, "int"),
        ("steps", None, "int"),
        ("step_size", "1.0", "float"),
        ("cap", False, "float"),
        ("task", 3, "str"),
        ("network", 3, "str | None"),
        ("divergence", None, "str"),
        ("bandwidth", "wide", "float | None"),
        ("reference_size", 1.5, "int | None"),
        ("learning_rate", [1e-3], "float"),
        ("folds", None, "int"),
    ],
)
def test_value_of_another_type_is_refused(name: str, value: object, kind: str) -> None:
    with pytest.raises(UserError) as caught:
        TrialConfig.from_mapping({name: value})
    assert str(caught.value) == f"{name} must be of type {kind}; got {value!r}"


def test_unknown_parameter_is_refused_with_the_names_to_choose_from() -> None:
    with pytest.raises(UserError, match="unknown parameter 'lr': choose from task, network, model"):
        TrialConfig.from_mapping({"lr": 0.1})


def test_a_record_from_before_there_was_a_ridge_still_loads() -> None:
    config = TrialConfig(method="diw")
    before = {name: value for name, value in config.as_dict().items() if name != "ridge"}
    assert TrialConfig.from_mapping(before) == config


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epochs": 1}, True),
        ({"epochs": 3, "warmup_epochs": 5, "method": "static"}, True),
        ({"epochs": 2}, False),
        ({"epochs": 1, "warmup_epochs": 0}, False),
        ({"epochs": 1, "method": "erm"}, False),
        ({"epochs": 1, "method": "clean-only"}, False),
    ],
)
def test_a_warm_up_as_long_as_the_run_is_remarked_on(values: dict[str, Any], told: bool) -> None:
    line = (
        "warmup_epochs is not below epochs: no mini-batch is weighted; give fewer of them, "
        "0 for none, or more epochs"
    )
    assert TrialConfig(**values).remarks() == [line] * told
