"""Optimisers, schedules, clipping and smoothing: each as torch has it, and resumed to the digit."""

import io
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adiw_tune.errors import UserError
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.tasks import TASKS
from adiw_tune.training import METHODS, RECIPES, TrainingRun, TrialConfig, inspect_recipe
from adiw_tune.training.config import with_changes, with_recipe
from adiw_tune.training.optimizer import OPTIMIZERS
from adiw_tune.training.saving import load_checkpoint
from adiw_tune.training.schedule import SCHEDULES
from tests.tasks.test_own import BASE
from tests.training import small

UPDATES = 3  # of an epoch: 123 training rows in mini-batches of 50


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "small", small.task())


def run_of(**values: Any) -> TrainingRun:
    return TrainingRun(TrialConfig(task="small", batch_size=50, **values))


def rates(run: TrainingRun, epochs: int) -> list[float]:
    """The learning rate of each update."""
    seen: list[float] = []
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    for _ in range(epochs):
        run.run_epoch()
    return seen


COSINE = [(1 + math.cos(math.pi * t / 12)) / 2 for t in range(12)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [1.0] * 12),
        ({"schedule": "cosine"}, COSINE),
        ({"schedule": "cosine", "lr_end": 0.2}, [0.2 + 0.8 * rate for rate in COSINE]),
        ({"schedule": "step"}, [1.0] * 6 + [0.1] * 6),
        (
            {"schedule": "step", "lr_step_epochs": 1, "lr_gamma": 0.5},
            [0.5 ** (t // UPDATES) for t in range(12)],
        ),
        ({"lr_warmup_epochs": 1}, [1 / 3, 2 / 3, *[1.0] * 10]),
        (
            {"lr_warmup_epochs": 1, "schedule": "cosine"},
            [1 / 3, 2 / 3, 1.0, *((1 + math.cos(math.pi * t / 9)) / 2 for t in range(9))],
        ),
        (
            {"lr_warmup_epochs": 2, "schedule": "step", "lr_step_epochs": 1},
            [*(t / 6 for t in range(1, 7)), *[1.0] * 3, *[0.1] * 3],
        ),
    ],
    ids=str,
)
def test_the_rate_of_each_update_is_the_schedules(
    values: dict[str, Any], expected: list[float]
) -> None:
    run = run_of(epochs=4, optimizer="sgd", learning_rate=0.5, **values)
    assert rates(run, 4) == pytest.approx([0.5 * rate for rate in expected])


def test_one_cycle_is_torchs() -> None:
    values = {"optimizer": "sgd", "momentum": 0.8, "schedule": "onecycle", "lr_rise": 0.4}
    run = run_of(epochs=4, learning_rate=0.5, **values)
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 12, pct_start=0.4)
    expected = []
    for _ in range(12):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert rates(run, 4) == pytest.approx(expected)
    assert max(expected) == pytest.approx(0.5, rel=0.1)
    assert run.optimizer.param_groups[0]["momentum"] == 0.8


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warm_up", [0, 1])
def test_a_run_cut_early_has_seen_the_first_part(schedule: str, warm_up: int) -> None:
    if schedule == "onecycle" and warm_up:
        return
    values = {"schedule": schedule, "lr_warmup_epochs": warm_up}
    whole = rates(run_of(**values, epochs=6), 6)[: 2 * UPDATES]
    assert rates(run_of(**values, epochs=6), 2) == whole
    assert rates(run_of(**values, epochs=2, lr_epochs=6), 2) == whole


@pytest.mark.parametrize(
    "values",
    [
        *({"optimizer": name} for name in OPTIMIZERS),
        *({"schedule": name, "lr_warmup_epochs": int(name != "onecycle")} for name in SCHEDULES),
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "onecycle"},
        {"clip_norm": 0.1, "label_smoothing": 0.1, "weight_decay": 0.01},
    ],
    ids=str,
)
def test_a_resumed_run_gives_the_same_digits(values: dict[str, Any]) -> None:
    whole, first, second = (run_of(epochs=4, **values) for _ in range(3))
    reports = [whole.run_epoch() for _ in range(4)]
    first.run_epoch()
    first.calibrate()  # whose steps are taken back, also where fewer are left than it takes
    first.run_epoch()
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    load_checkpoint(second, saved.getvalue())
    for report in reports[2:]:
        assert second.run_epoch().loss == report.loss
    assert_equal(second.network.state_dict(), whole.network.state_dict())


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_checkpoint_from_before_there_were_schedules_goes_on() -> None:
    run, later = run_of(epochs=2), run_of(epochs=2)
    run.run_epoch()
    saved = io.BytesIO()
    torch.save({k: v for k, v in run.state_dict().items() if k != "schedule"}, saved)
    load_checkpoint(later, saved.getvalue())
    assert later.run_epoch().loss == run.run_epoch().loss


@pytest.mark.parametrize(
    ("values", "make"),
    [
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, 0.01)),
        ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, 0.01)),
        (
            {"optimizer": "adamw", "weight_decay": 0.3},
            lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3),
        ),
        (
            {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
        ),
    ],
    ids=["adam", "adamw", "decay", "nesterov"],
)
def test_updates_are_torchs(values: dict[str, Any], make: Any) -> None:
    run = run_of(method="erm", learning_rate=0.01, **values)
    own, other = run.network, run_of(method="erm").network  # the same seed, the same weights
    optimizer = make(list(other.parameters()))
    rows = small.first_step(run).rows
    for _ in range(3):
        run._step(torch.arange(24), rows)
        optimizer.zero_grad()
        nn.functional.cross_entropy(other(rows.inputs), rows.labels).backward()
        optimizer.step()
    for one, two in zip(own.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_gradients_are_clipped_to_the_norm() -> None:
    free, clipped = (
        run_of(method="erm", optimizer="sgd", learning_rate=1.0, clip_norm=norm)
        for norm in (None, 0.01)
    )
    before = nn.utils.parameters_to_vector(free.network.parameters()).detach()
    for run in (free, clipped):
        run._step(torch.arange(24), small.first_step(run).rows)
    moved = [
        nn.utils.parameters_to_vector(run.network.parameters()).detach() - before
        for run in (free, clipped)
    ]
    assert moved[0].norm() > 0.1
    assert moved[1].norm() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(moved[1] / 0.01, moved[0] / moved[0].norm(), rtol=1e-3, atol=1e-4)


def test_smoothed_losses_weigh_and_train() -> None:
    run = run_of(label_smoothing=0.2)
    step = small.first_step(run)
    logits = step.forward.logits
    sharp = nn.functional.cross_entropy(logits, step.rows.labels, reduction="none")
    even = -logits.log_softmax(1).mean(1)
    torch.testing.assert_close(step.forward.losses, 0.8 * sharp + 0.2 * even)


# The task of other tests, whose network has settings.
OWN = BASE.replace("def model()", "def model(width=8, depth=1)")
OWN = OWN.replace("Linear(4, 8)", "Linear(4, width)").replace("Linear(8, 2)", "Linear(width, 2)")
LAYERS = """
def optimizer(model, config):
    first, last = model[0].parameters(), model[2].parameters()
    groups = [{"params": first}, {"params": last, "lr": config.learning_rate / 10}]
    return torch.optim.SGD(groups, lr=config.learning_rate)

def scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
"""


def own(folder: Path, *more: str) -> str:
    (folder / "mine.py").write_text("\n".join([OWN, *more]))
    return str(folder / "mine.py")


def test_a_task_files_optimizer_and_scheduler_are_taken(tmp_path: Path) -> None:
    config = TrialConfig(own(tmp_path, LAYERS), learning_rate=0.1, batch_size=30, epochs=5)
    assert (config.optimizer, config.schedule) == ("own", "own")
    run = TrainingRun(config)
    assert [group["lr"] for group in run.optimizer.param_groups] == [0.1, 0.01]
    seen = rates(run, 5)
    assert seen == pytest.approx([0.1 * (1 - t / 10) for t in range(10)])
    resumed, half = TrainingRun(config), TrainingRun(config)
    half.run_epoch()
    saved = io.BytesIO()
    torch.save(half.state_dict(), saved)
    load_checkpoint(resumed, saved.getvalue())
    while not resumed.finished:
        resumed.run_epoch()
    assert_equal(resumed.network.state_dict(), run.network.state_dict())


def test_torchs_can_be_chosen_all_the_same(tmp_path: Path) -> None:
    config = TrialConfig(own(tmp_path, LAYERS), optimizer="adam", schedule="cosine")
    run = TrainingRun(config)
    assert isinstance(run.optimizer, torch.optim.Adam)
    assert TrialConfig(own(tmp_path)).optimizer == "adam"


NO_TORCH = """
class Lion:
    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr
    def zero_grad(self):
        for one in self.parameters:
            one.grad = None
    def step(self):
        with torch.no_grad():
            for one in self.parameters:
                one.sub_(self.lr * one.grad.sign())
    def state_dict(self):
        return {"lr": self.lr}
    def load_state_dict(self, state):
        self.lr = state["lr"]

def optimizer(model, config):
    return Lion(model.parameters(), config.learning_rate)
"""


def test_an_optimizer_of_another_library_trains(tmp_path: Path) -> None:
    config = TrialConfig(own(tmp_path, NO_TORCH), learning_rate=0.01, epochs=3, batch_size=20)
    run = TrainingRun(config)
    losses = [run.run_epoch().loss for _ in range(3)]
    assert losses[-1] < losses[0]
    TrainingRun(config).load_state_dict(run.state_dict())


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def optimizer(model, config):\n    return None", "gives NoneType, which has no zero_gra"),
        ("def optimizer(model):\n    return 1", r"is called as optimizer\(model, config\): give"),
        ("def scheduler(x):\n    return 1", r"is called as scheduler\(optimizer, steps\): give it"),
        ("def optimizer(model, config):\n    return 1 / 0", "optimizer.. of '.*' fails: Zero"),
        ("optimizer = 3", "'optimizer' in task file '.*' must be a function"),
        (
            "def optimizer(model, config):\n    return torch.optim.LBFGS(model.parameters())",
            r"optimizer\(\) of '.*' fails in an update \(TypeError: .*closure",
        ),
        (
            "def scheduler(optimizer, steps):\n"
            "    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)",
            r"scheduler\(\) of '.*' fails after update 1 of \d+: TypeError: .*metrics",
        ),
        (
            "def scheduler(optimizer, steps):\n    return steps / 0",
            r"scheduler\(\) of '.*' fails: ZeroDivisionError",
        ),
        (
            "class Own(torch.optim.SGD):\n"
            "    def state_dict(self):\n"
            "        return super().state_dict() | {'me': self}\n"
            "def optimizer(model, config):\n    return Own(model.parameters(), 0.1)",
            "has a state that no checkpoint can hold",
        ),
        (
            "def optimizer(model, config):\n"
            "    return torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), 0.1)",
            "updates no parameter of the model",
        ),
    ],
)
def test_what_training_could_not_work_with_is_refused(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        TrainingRun(TrialConfig(own(tmp_path, code)))
    assert "\n" not in str(caught.value)


def test_settings_of_the_network_are_given_to_it(tmp_path: Path) -> None:
    run = TrainingRun(TrialConfig(own(tmp_path), model={"width": 5}))
    assert run.network.module[0].out_features == 5  # type: ignore[index,union-attr]
    assert run.config.as_dict()["model"] == {"width": 5}
    assert TrialConfig(own(tmp_path), model={}).model is None
    with pytest.raises(UserError, match=r"model\(\) of '.*' takes width, depth: .* 'wdth'"):
        TrialConfig(own(tmp_path), model={"wdth": 5})
    with pytest.raises(UserError, match=r"model\(\) of .* fails: TypeError"):
        TrainingRun(TrialConfig(own(tmp_path), model={"width": "a"}))


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


GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_the_guides_optimizer_and_scheduler_train(tmp_path: Path) -> None:
    (shown,) = (block for block in BLOCKS if "def optimizer(model, config)" in block)
    run = TrainingRun(TrialConfig(own(tmp_path, shown), learning_rate=0.1, batch_size=20))
    assert [group["lr"] for group in run.optimizer.param_groups] == pytest.approx([0.01, 0.1])
    run.run_epoch()
    assert [group["lr"] for group in run.optimizer.param_groups] == pytest.approx(
        [0.01 * 7 / 8, 0.1 * 7 / 8]
    )


def test_the_guides_space_is_one(tmp_path: Path) -> None:
    (shown,) = (block for block in BLOCKS if '"sgd_rate"' in block)
    (tmp_path / "space.py").write_text(shown)
    configs = check_space(SpaceFile(tmp_path / "space.py", seed=0))
    assert {(config.optimizer, config.momentum) for config in configs} == {
        ("adam", 0.0),
        ("sgd", 0.9),
    }


@pytest.mark.parametrize(
    "values",
    [
        {"schedule": "onecycle"},
        {"schedule": "cosine", "lr_end": 0.5},
        {"schedule": "cosine", "lr_warmup_epochs": 2},
        {"schedule": "step"},
    ],
)
def test_rates_of_the_layers_keep_their_ratio(tmp_path: Path, values: dict[str, Any]) -> None:
    layers, _, _ = LAYERS.partition("def scheduler")
    task = own(tmp_path, layers)
    run = TrainingRun(TrialConfig(task, learning_rate=0.1, batch_size=30, epochs=5, **values))
    seen: list[list[float]] = []
    run.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append([group["lr"] for group in optimizer.param_groups])
    )
    while not run.finished:
        run.run_epoch()
    assert len({first for first, _ in seen}) > 1
    for first, last in seen:
        assert last == pytest.approx(first / 10)


@pytest.mark.parametrize("values", [{"schedule": "cosine"}, {"lr_warmup_epochs": 1}])
def test_torchs_schedules_need_an_optimizer_of_torch(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    config = TrialConfig(own(tmp_path, NO_TORCH), batch_size=20, **values)
    with pytest.raises(
        UserError, match=r"needs a torch\.optim\.Optimizer, but optimizer\(\) of .* Lion: def"
    ):
        TrainingRun(config)


def test_a_schedule_that_fails_late_is_told_in_one_line(tmp_path: Path) -> None:
    code = """
class Short:
    left = 20000
    def step(self):
        self.left -= 1
        if self.left < 0:
            raise ValueError("no more")
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass

def scheduler(optimizer, steps):
    return Short()
"""
    config = TrialConfig(own(tmp_path, code), batch_size=1, epochs=1000)
    run = TrainingRun(config)
    run._schedule._scheduler.left = 0
    with pytest.raises(
        UserError, match=r"scheduler\(\) of '.*' fails after update 1 of 50000: Val"
    ):
        run.run_epoch()
    short = code.replace("left = 20000", "left = 9")
    with pytest.raises(UserError, match="fails after update 10 of 50000: ValueError: no more"):
        TrainingRun(TrialConfig(own(tmp_path, short), batch_size=1, epochs=1000))


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


def test_model_settings_may_be_named_shape_or_classes(tmp_path: Path) -> None:
    code = OWN.replace("width=8, depth=1", "classes=8, shape=1, self=0")
    (tmp_path / "mine.py").write_text(code.replace("width", "classes"))
    config = TrialConfig(str(tmp_path / "mine.py"), model={"classes": 5, "shape": 2, "self": 1})
    assert TrainingRun(config).network.module[0].out_features == 5  # type: ignore[index,union-attr]


def test_parameters_that_an_own_optimizer_leaves_out_are_remarked_on(tmp_path: Path) -> None:
    code = """
def optimizer(model, config):
    return torch.optim.SGD([*model[0].parameters(), model[2].weight], 0.1)
"""
    remark = "optimizer() of '{}' does not update 2.bias: give it model.par"
    task = own(tmp_path, code)
    (told,) = TrainingRun(TrialConfig(task)).remarks
    assert told.startswith("mine.py: " + remark.format(task))
    (told,) = inspect_recipe(task, None, None, None).remarks
    assert told.startswith(remark.format(task))
