"""The step as one compiled function: the same weights, or the same function uncompiled."""

import gc
import shutil
import threading
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from adiw_tune import ImportanceWeighter
from adiw_tune.divergences.kernels import Recomputed
from adiw_tune.weights import WeightSolver
from adiw_tune.weights.compiled import Compiled, _compile, _ways

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
    two = WeightSolver(steps=2)  # the code of each step is compiled anew
    compiled = ImportanceWeighter(40, name, two, compiled=True)
    plain = ImportanceWeighter(40, name, two)
    for n in (16, 11, 13):
        torch.testing.assert_close(compiled(*batch(n)), plain(*batch(n)), rtol=0, atol=1e-6)
    assert compiled._estimate._run is not compiled._estimate.function  # it did not fall back

    # What is compiled goes with the weighter, and with it the memory that a CUDA graph holds.
    code = weakref.ref(compiled._estimate._run)
    del compiled
    gc.collect()
    assert code() is None


@pytest.mark.filterwarnings("default")
def test_blocks_of_a_large_matrix_are_not_unrolled() -> None:
    names = []

    def note(graph: torch.fx.GraphModule, _: Any) -> Any:
        names.extend(node.name for node in graph.graph.nodes)
        return graph.forward

    points = torch.arange(12.0)
    blocks = Recomputed(lambda rows: torch.outer(rows, torch.ones(3)), points, rows_at_once=4)

    y, w = torch.ones(12), torch.ones(3)
    torch.testing.assert_close(_compile(lambda w: blocks @ w, backend=note)(w), 3 * points)
    torch.testing.assert_close(_compile(lambda y: y @ blocks, backend=note)(y), 66 * w)
    assert names == []
    torch.testing.assert_close(_compile(lambda w: w + 1, backend=note)(w), w + 1)
    assert "add" in names


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


LACKING = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("backend='inductor' raised:\nOutOfMemoryError: CUDA out of memory."),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


@pytest.mark.parametrize("lacking", LACKING, ids=lambda error: f"{error!r:.40}")
def test_memory_that_runs_out_is_no_failure_to_compile(
    lacking: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Exception] = [lacking]

    def compiled(function: Any, **_: Any) -> Any:
        def run(*arguments: Tensor) -> Tensor:
            if found:
                raise found.pop()
            return function(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    step = Compiled(torch.square)
    with pytest.raises(type(lacking)):
        step(torch.ones(2))
    run = step._run
    assert torch.equal(step(torch.ones(2)), torch.ones(2))  # there is enough again: no warning
    assert step._run is run is not torch.square


def test_on_cuda_a_step_that_cannot_be_recorded_is_compiled_without_a_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def compiled(function: Any, **options: Any) -> Any:
        asked.append(options)
        return function

    monkeypatch.setattr(torch, "compile", compiled)
    step = Compiled(torch.square)
    step._ways = _ways(torch.square, torch.device("cuda"))
    first = step._ways[0][1]

    def not_recorded(*_: Tensor) -> Tensor:
        assert first()
        raise AssertionError  # without a message, as from a thread that is not the main one

    step._ways[0] = ("compiled", lambda: not_recorded)
    with pytest.warns(RuntimeWarning, match="weights run without a CUDA graph: AssertionError:$"):
        step(torch.ones(2))
    assert asked == [{"mode": "reduce-overhead"}, {}]
    step(torch.ones(2))  # warnings are errors here


on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@on_cuda
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_on_cuda_compiled_weights_are_the_uncompiled_ones(where: str) -> None:
    compiled = ImportanceWeighter(40, compiled=True).cuda()
    plain = ImportanceWeighter(40).cuda()
    pairs = []

    def weigh() -> None:
        for n in (16, 16, 16, 11, 11, 11, 16):  # warmed up, recorded, replayed
            rows = [part.cuda() for part in batch(n)]
            pairs.append((compiled(*rows), plain(*rows)))

    if where == "main thread":
        weigh()
    else:  # where a trial of Ray Tune's runs
        thread = threading.Thread(target=weigh)
        thread.start()
        thread.join()
    assert len(pairs) == 7
    for w, expected in pairs:
        torch.testing.assert_close(w, expected, rtol=0, atol=1e-6)
    assert compiled._estimate._run is not compiled._estimate.function


@on_cuda
def test_on_cuda_memory_that_runs_out_in_a_compiled_step_is_raised() -> None:
    def greedy(x: Tensor) -> Tensor:
        return x + x.new_ones(2**44).sort().values[0]  # which no compiler does without

    with pytest.raises(torch.OutOfMemoryError):
        Compiled(greedy)(torch.ones(2, device="cuda"))
