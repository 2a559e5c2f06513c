"""A task file's own optimiser, scheduler and settings of its network."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.search.space import SpaceFile
from adiw_tune.search.starting_points import check_space
from adiw_tune.training import TrainingRun, TrialConfig, inspect_recipe
from adiw_tune.training.saving import load_checkpoint
from tests.tasks.test_own import BASE

from .test_recipe import assert_equal, rates

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
        (
            "class Own:\n"
            "    def __init__(self, inner):\n"
            "        self.inner, self.param_groups = inner, inner.param_groups\n"
            "    def __getattr__(self, name):\n"
            "        return getattr(self.inner, name)\n"
            "def optimizer(model, config):\n"
            "    return Own(torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), 0.1))",
            "updates no parameter of the model",
        ),
        (
            "def optimizer(model, config):\n"
            "    return torch.optim.SGD(model.half().parameters(), 0.1)",
            r"^optimizer\(\) of '.*' fails in an update \(the network of .*: RuntimeError: .*dtype",
        ),
    ],
)
def test_what_training_could_not_work_with_is_refused(tmp_path: Path, code: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        TrainingRun(TrialConfig(own(tmp_path, code)))
    assert "\n" not in str(caught.value)


COPIES = """
class Mixed(torch.optim.SGD):  # updates copies, as optimisers of half-precision parameters do
    def __init__(self, model):
        self.real = list(model.parameters())
        super().__init__([p.detach().clone() for p in self.real], 0.1)

    def step(self):
        for copy, real in zip(self.param_groups[0]["params"], self.real):
            copy.grad = real.grad
        super().step()
        with torch.no_grad():
            for copy, real in zip(self.param_groups[0]["params"], self.real):
                real.copy_(copy)

def optimizer(model, config):
    return Mixed(model)
"""
SEVERAL = """
class Several:
    def __init__(self, *each):
        self.each = each
        self.param_groups = [one.param_groups for one in each]
    def zero_grad(self):
        [one.zero_grad() for one in self.each]
    def step(self):
        [one.step() for one in self.each]
    def state_dict(self):
        return {"each": [one.state_dict() for one in self.each]}
    def load_state_dict(self, state):
        [one.load_state_dict(its) for one, its in zip(self.each, state["each"])]

def optimizer(model, config):
    halves = model[0].parameters(), model[2].parameters()
    return Several(*(torch.optim.SGD(half, config.learning_rate) for half in halves))
"""


@pytest.mark.parametrize("code", [COPIES, SEVERAL])
def test_optimizers_with_other_groups_than_the_parameters_train(tmp_path: Path, code: str) -> None:
    run = TrainingRun(TrialConfig(own(tmp_path, code), epochs=3, learning_rate=0.1))
    before = [p.detach().clone() for p in run.network.parameters()]
    run.run_epoch()
    assert not any(map(torch.equal, before, run.network.parameters()))
    assert not [remark for remark in run.remarks if "does not update" in remark]


def test_an_own_optimizer_that_fails_late_is_told_in_one_line(tmp_path: Path) -> None:
    late = NO_TORCH.replace(
        "def step(self):", "def step(self):\n        assert self.lr < 1, 'late'"
    )
    assert late != NO_TORCH
    run = TrainingRun(TrialConfig(own(tmp_path, late), batch_size=20))
    run.optimizer.lr = 2
    told = r"^the optimizer of task '.*' fails on a mini-batch of 20 rows: AssertionError: late"
    with pytest.raises(UserError, match=told):
        run.run_epoch()


def test_settings_of_the_network_are_given_to_it(tmp_path: Path) -> None:
    run = TrainingRun(TrialConfig(own(tmp_path), model={"width": 5}))
    assert run.network.module[0].out_features == 5  # type: ignore[index,union-attr]
    assert run.config.as_dict()["model"] == {"width": 5}
    assert TrialConfig(own(tmp_path), model={}).model is None
    with pytest.raises(UserError, match=r"model\(\) of '.*' takes width, depth: .* 'wdth'"):
        TrialConfig(own(tmp_path), model={"wdth": 5})
    with pytest.raises(UserError, match=r"model\(\) of .* fails: TypeError"):
        TrainingRun(TrialConfig(own(tmp_path), model={"width": "a"}))


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
