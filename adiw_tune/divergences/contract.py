"""What every divergence must do, as checks that a user's own can be put through."""

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor

from adiw_tune.divergences.base import Divergence, Local, WeightObjective
from adiw_tune.errors import UserError, in_one_line, told_as

# name: (source, target); what training really meets, and what it should never meet
DEGENERATE: dict[str, tuple[list[float], list[float]]] = {
    "all equal": ([2.5] * 8, [2.5] * 8),
    "all zero": ([0.0] * 8, [0.0] * 5),
    "source equal": ([1.0] * 8, [0.5, 1.0, 2.0]),
    "target equal": ([0.5, 1.0, 2.0, 4.0], [1.0] * 6),
    "source zero, target not": ([0.0] * 6, [3.0] * 6),
    "mostly zeros": ([0.0] * 30 + [0.1, 4.0], [0.0] * 30 + [0.2]),
    "source outlier 1e8": ([0.1, 0.2, 0.5, 1.0, 1e8], [0.1, 0.4, 0.9]),
    "source outlier 1e30": ([0.1, 0.2, 0.5, 1.0, 1e30], [0.1, 0.4, 0.9]),
    "target outlier 1e8": ([0.1, 0.2, 0.5, 1.0], [0.1, 0.4, 0.9, 1e8]),
    "target outlier 1e30": ([0.1, 0.2, 0.5, 1.0], [0.1, 0.4, 0.9, 1e30]),
    "zeros and an outlier 1e30": ([0.0] * 9 + [1e30], [0.0] * 9 + [1.0]),
    "half at 1e30": ([0.1, 0.2, 1e30, 1e30], [0.3, 1e30]),
    "one row each": ([0.3], [1.7]),
    "one source row": ([0.3], [0.1, 0.2, 5.0]),
    "one target row": ([0.1, 0.2, 5.0], [0.3]),
    "duplicates": ([0.1, 0.1, 0.1, 0.7, 0.7, 2.0], [0.1, 0.7, 0.7, 0.7]),
    "tiny": ([1e-30, 2e-30, 5e-30], [2e-30, 3e-30]),
}


def check_divergence(divergence: Divergence) -> list[str]:
    """What ``divergence`` does that the solver cannot work with, one line each; [] if all is well.

    It is tried on random losses and features and on degenerate losses: whether f, its gradient
    and its curvature have the right shapes, dtype and signs and stay finite; whether the gradient
    is that of f, f is convex, w = 1 is optimal for two equal samples, and five steps lower f for
    two that differ; whether the order of the rows matters; and whether on a GPU it would wait for
    values or mix devices.
    """
    violations: list[str] = []
    for what, (source, target) in {"losses": _losses(), "features": _features()}.items():
        found = _first(_form(divergence, source, target)) or [
            *_first(_off_host(divergence, source, target)),
            *_told(_body(divergence, source, target)),
        ]
        violations += [f"on {what}: {line}" for line in found]
    if violations:
        return violations
    for case, samples in DEGENERATE.items():
        for dtype in (torch.float32, torch.float64):
            source, target = (torch.tensor(z, dtype=dtype) for z in samples)
            found = _first(_form(divergence, source, target))
            violations += [f"on losses '{case}' in {dtype}: {line}" for line in found]
    return violations


def require_form(divergence: Divergence, name: str) -> None:
    """Refuse a divergence that fails on a few losses, before a run is spent on it.

    Args:
        divergence: a user's own.
        name: its file, for the error.
    """
    for problem in _first(_form(divergence, *_losses())):
        raise UserError(
            f"divergence '{name}': {problem}; run 'adiw-tune check-divergence {name}' for all "
            "problems"
        )


def _first(lines: Iterator[str]) -> list[str]:
    return _told(islice(lines, 1))


def _told(lines: Iterator[str]) -> list[str]:
    """The lines; and one about what the divergence's own code raises."""
    found: list[str] = []
    try:
        with told_as(lambda error: f"prepare or at fails: {in_one_line(error)}"):
            found.extend(lines)
    except UserError as error:
        found.append(str(error))
    return found


def _off_host(divergence: Divergence, source: Tensor, target: Tensor) -> Iterator[str]:
    """Whether it does without values on the host, tried on tensors that have none.

    On the meta device whatever would wait for a value, leave the device or mix it with the CPU
    fails, on a machine without a GPU too.
    """
    z, v = source.to("meta"), target.to("meta")
    try:
        divergence.prepare(z, v).at(z.new_ones(len(z)))
    except Exception as error:
        yield f"on a GPU it would wait for the device or mix it with the CPU: {in_one_line(error)}"


def _form(divergence: Divergence, source: Tensor, target: Tensor) -> Iterator[str]:
    """Shapes, dtype, signs and finiteness at w = 1. What comes first may make the rest fail."""
    one = source.new_ones(len(source))
    local: Any = divergence.prepare(source, target).at(one)
    value, gradient, curvature = local
    for name, found, shape in (
        ("value", value, ()),
        ("gradient", gradient, one.shape),
        ("curvature", curvature, ()),
    ):
        if not isinstance(found, Tensor):
            yield f"{name} must be a tensor; it is of type {type(found).__name__}"
        elif found.shape != shape:
            yield f"{name} must have shape {list(shape)}; it has {list(found.shape)}"
        elif found.dtype != source.dtype:
            yield f"{name} must keep the dtype {source.dtype}; it is {found.dtype}"
        elif not found.isfinite().all():
            yield f"{name} must be finite at w = 1"
    if not curvature > 0:
        yield f"curvature must be above 0; it is {float(curvature):.3g}"


def _body(divergence: Divergence, source: Tensor, target: Tensor) -> Iterator[str]:
    """What must hold of f itself."""
    n = len(source)
    one = source.new_ones(n)
    objective = divergence.prepare(source, target)
    points = _weights(n)
    if not all(_gradient_is_the_values(objective, w) for w in points):
        yield "gradient must be that of value, as finite differences find it"
    if not all(_convex_between(objective, a, b) for a, b in pairwise(points)):
        yield "value must be convex in w: it lies above a chord"
    if not all(part.isfinite().all() for part in _at(objective, _half_zero(n).to(one))):
        yield "value, gradient and curvature must be finite where weights are 0"
    same = divergence.prepare(source, source.clone())
    best = _at(same, one)
    if not all(_at(same, w).value >= best.value - _noise(best) for w in points):
        yield "w = 1 must be optimal when source and target are the same sample"
    if not _lowest_of_five_steps(objective, one) < _at(objective, one).value:
        yield "five steps of 1/curvature from w = 1 must lower value: is curvature too small?"
    flipped = divergence.prepare(source.flip(0), target.flip(0))
    if not torch.allclose(
        _at(flipped, points[0].flip(0)).gradient.flip(0), _at(objective, points[0]).gradient
    ):
        yield "the order of the rows must not matter"


def _at(objective: WeightObjective, w: Tensor) -> Local:
    """Also of an objective that returns a plain tuple, with which the solver is content."""
    return Local(*objective.at(w.clone()))  # which may change its argument


def _gradient_is_the_values(objective: WeightObjective, w: Tensor) -> bool:
    """Against central differences: an objective need not be one that autograd can go through."""
    nudges = 1e-6 * torch.eye(len(w), dtype=w.dtype)
    rise = [_at(objective, w + by).value - _at(objective, w - by).value for by in nudges]
    return torch.allclose(
        _at(objective, w).gradient, torch.stack(rise) / 2e-6, rtol=1e-5, atol=1e-8
    )


def _convex_between(objective: WeightObjective, a: Tensor, b: Tensor) -> bool:
    middle, *ends = (_at(objective, w) for w in ((a + b) / 2, a, b))
    chord = (ends[0].value + ends[1].value) / 2
    return bool(middle.value <= chord + _noise(*ends))


def _noise(*locals_: Local) -> float:
    """What rounding in float64 may do to values of this size."""
    return 1e-12 * (1 + max(float(local.value.abs()) for local in locals_))


def _lowest_of_five_steps(objective: WeightObjective, w: Tensor) -> Tensor:
    values = []
    for _ in range(5):
        _, gradient, curvature = _at(objective, w)
        w = _onto_mean_one(w - gradient / curvature)
        values.append(_at(objective, w).value)
    return torch.stack(values).min()


def _onto_mean_one(x: Tensor) -> Tensor:
    """The nearest w >= 0 of mean 1."""
    n = len(x)
    excess = x.sort(descending=True).values.cumsum(0) - n
    return (x - (excess / torch.arange(1, n + 1)).max()).clamp_min(0)


def _weights(n: int) -> list[Tensor]:
    """Of mean 1, from nearly flat to spiky, all above 0."""
    draw = torch.randn(6, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spiky = (draw * torch.logspace(-1, 0.5, 6, dtype=torch.float64).unsqueeze(1)).exp()
    return list(0.99 * spiky / spiky.mean(dim=1, keepdim=True) + 0.01)


def _half_zero(n: int) -> Tensor:
    """Of mean 1, half of them 0, as the projection leaves many."""
    kept = (torch.arange(n) % 2).double()
    return kept / kept.mean()


def _losses() -> tuple[Tensor, Tensor]:
    draw = torch.randn(36, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return draw[:20].exp(), (0.7 * draw[20:] - 0.3).exp()


def _features() -> tuple[Tensor, Tensor]:
    draw = torch.randn(36, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return draw[:20], 0.8 * draw[20:] + 0.5
