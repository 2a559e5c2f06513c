"""The step as one compiled function: the same weights, or the same function uncompiled."""

import shutil
from typing import Any

import pytest
import torch
from torch import Tensor

from adiw_tune import ImportanceWeighter
from adiw_tune.weights.compiled import Compiled

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")


def batch(n: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    draw = torch.randn(n + 12, generator=generator, dtype=torch.float64)
    source = draw[:n].exp()
    target = draw[n:].mul(0.5).exp()
    return source, target, torch.arange(n)


@needs_compiler
@pytest.mark.parametrize("name", ["mmd", "wasserstein"])
@pytest.mark.filterwarnings("default")  # the compiler has its own to give
def test_compiled_weights_are_the_uncompiled_ones_at_any_batch_size(name: str) -> None:
    compiled = ImportanceWeighter(40, name, compiled=True)
    plain = ImportanceWeighter(40, name)
    for n in (16, 11, 13):
        torch.testing.assert_close(compiled(*batch(n)), plain(*batch(n)), rtol=0, atol=1e-6)
    assert compiled._estimate._run is not compiled._estimate.function  # it did not fall back


def test_where_compiling_fails_the_weights_come_uncompiled_and_one_warning_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_compiler(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no C++ compiler\nand a long trace")

    monkeypatch.setattr(torch, "compile", no_compiler)
    compiled, plain = ImportanceWeighter(40, compiled=True), ImportanceWeighter(40)
    with pytest.warns(RuntimeWarning, match="uncompiled: RuntimeError: no C.. compiler$"):
        first = compiled(*batch(16))
    assert torch.equal(first, plain(*batch(16)))
    assert torch.equal(compiled(*batch(16)), plain(*batch(16)))  # warnings are errors here


def test_an_error_of_the_step_itself_is_not_taken_for_one_of_compiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(w: Tensor) -> Tensor:
        raise ValueError("the step's own")

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    step = Compiled(broken)
    for _ in range(2):
        with pytest.raises(ValueError, match="the step's own"):
            step(torch.ones(2))


def test_each_weighter_is_compiled_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = []

    def note(function: Any, **_: Any) -> Any:
        codes.append(function.__code__)
        return function

    monkeypatch.setattr(torch, "compile", note)
    for _ in range(2):
        ImportanceWeighter(40, compiled=True)(*batch(16))
    assert codes[0] is not codes[1]
