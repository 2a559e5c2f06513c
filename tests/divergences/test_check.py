"""The shipped contract finds what breaks it, one line each."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from adiw_tune.divergences import (
    DIVERGENCES,
    Divergence,
    Local,
    SquaredDistance,
    WeightObjective,
    check_divergence,
    make_divergence,
    require_form,
)
from adiw_tune.errors import UserError

Change = Callable[[Tensor, Local], Any]


@dataclass(frozen=True)
class Broken:
    """Squared distance with what it says of f changed by ``change(w, local)``."""

    change: Change

    def prepare(self, source: Tensor, target: Tensor) -> "BrokenObjective":
        return BrokenObjective(SquaredDistance().prepare(source, target), self.change)


@dataclass(frozen=True)
class BrokenObjective:
    sound: WeightObjective
    change: Change

    def at(self, w: Tensor) -> Any:
        return self.change(w, self.sound.at(w))


def concave(w: Tensor, local: Local) -> Local:
    """-‖w‖²/2, whose gradient is right."""
    return Local(-(w @ w) / 2, -w, local.curvature)


def by_position(w: Tensor, local: Local) -> Local:
    """Σ i w_i, which is not at its least at w = 1 and asks for the rows' order."""
    slope = torch.arange(len(w)).to(w)
    return Local(slope @ w, slope, local.curvature)


BROKEN: dict[str, tuple[Change, str]] = {
    "fails": (lambda w, f: w @ torch.ones(2, 3), "prepare or at fails: RuntimeError"),
    "two values": (lambda w, f: (f.value, f.gradient), "prepare or at fails: ValueError"),
    "number": (lambda w, f: f._replace(curvature=1.0), "curvature must be a tensor.* float"),
    "shape": (lambda w, f: f._replace(value=f.gradient), r"value must have shape \[\]"),
    "dtype": (lambda w, f: f._replace(gradient=f.gradient.half()), "gradient must keep the dtype"),
    "infinite": (lambda w, f: f._replace(gradient=f.gradient / 0), "gradient must be finite"),
    "flat": (lambda w, f: f._replace(curvature=0 * f.curvature), "curvature must be above 0"),
    "waits": (
        lambda w, f: f._replace(value=w.new_tensor(f.value.item())),
        "on a GPU it would wait for the device or mix it with the CPU",
    ),
    "host's": (lambda w, f: f._replace(gradient=f.gradient * torch.ones(len(w))), "mix it with"),
    "zeros": (lambda w, f: f._replace(gradient=f.gradient + 0 / w), "finite where weights are 0"),
    "exits": (lambda w, f: sys.exit(0), "prepare or at fails: SystemExit: 0"),
    "gradient": (lambda w, f: f._replace(gradient=2 * f.gradient), "gradient must be that of"),
    "concave": (concave, "value must be convex"),
    "off centre": (by_position, "w = 1 must be optimal"),
    "long steps": (lambda w, f: f._replace(curvature=f.curvature / 100), "five steps of"),
    "order": (by_position, "the order of the rows must not matter"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_each_violation_is_named(case: str) -> None:
    change, message = BROKEN[case]
    found = check_divergence(Broken(change))
    assert any(re.search(message, line) for line in found), found
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_listed_divergences_keep_the_contract(name: str) -> None:
    assert check_divergence(make_divergence(name)) == []


class DifferentiatesItself:
    """The gradient of another's f by autograd, in a graph of its own; w is changed in place."""

    def __init__(self, sound: WeightObjective) -> None:
        self.sound = sound

    @torch.no_grad()
    def at(self, w: Tensor) -> Local:
        w = w.clamp_(min=0)
        with torch.enable_grad():
            free = w.detach().requires_grad_()
            value = self.sound.at(free).value
            (gradient,) = torch.autograd.grad(value, free)
        return Local(value.detach(), gradient, self.sound.at(w).curvature)


class ByAutograd:
    def prepare(self, source: Tensor, target: Tensor) -> WeightObjective:
        return DifferentiatesItself(SquaredDistance().prepare(source, target))


def test_an_objective_need_not_let_autograd_through() -> None:
    assert check_divergence(ByAutograd()) == []


def test_what_would_break_a_run_is_refused_before_it() -> None:
    require_form(SquaredDistance(), "own.py")
    change, message = BROKEN["shape"]
    with pytest.raises(
        UserError, match=f"'own.py': {message}.*'adiw-tune check-divergence own.py'"
    ):
        require_form(Broken(change), "own.py")


@dataclass(frozen=True)
class LossesOnly:
    def prepare(self, source: Tensor, target: Tensor) -> WeightObjective:
        if source.ndim > 1:
            raise ValueError("one number per row")
        return SquaredDistance().prepare(source, target)


@dataclass(frozen=True)
class Fragile:
    """Divides by the range of the losses, which may be 0."""

    def prepare(self, source: Tensor, target: Tensor) -> WeightObjective:
        sound = SquaredDistance().prepare(source, target)
        spread = source.max() - source.min()
        return replace(sound, ratio=sound.ratio * (spread / spread))


@pytest.mark.parametrize(
    ("divergence", "message"),
    [
        (LossesOnly(), "on features: prepare or at fails: ValueError: one number per row"),
        (Fragile(), "on losses 'all equal' in torch.float32: value must be finite at w = 1"),
    ],
)
def test_the_input_that_breaks_it_is_named(divergence: Divergence, message: str) -> None:
    assert message in check_divergence(divergence)
