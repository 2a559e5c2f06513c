"""The divergence chosen while training: shares that follow what helps held-out rows."""

import shutil
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from adiw_tune.divergences import Local
from adiw_tune.training import TrainingRun
from adiw_tune.training.methods.adiw import Adiw
from adiw_tune.training.methods.auto import (
    CANDIDATES,
    AutoEstimator,
    divided,
    effective_share,
)
from adiw_tune.weights import WeightMemory

from . import small
from .conftest import MakeRun
from .test_learning import NOISY, unflipped

AUTO = replace(NOISY, divergence="auto", epochs=5)


@dataclass(frozen=True)
class WorstRows:
    """A harmful divergence: f(w) = ‖w - ρ‖²/2n, all of ρ on the half with the largest losses."""

    def prepare(self, source: Tensor, target: Tensor) -> "WorstRowsObjective":
        worst = (source > source.median()).to(source.dtype)
        return WorstRowsObjective(worst / worst.mean().clamp_min(1e-6))


@dataclass(frozen=True)
class WorstRowsObjective:
    wanted: Tensor

    def at(self, w: Tensor) -> Local:
        away = w - self.wanted
        return Local(away @ away / (2 * len(w)), away / len(w), w.new_tensor(1 / len(w)))


def estimator(run: TrainingRun) -> AutoEstimator:
    assert isinstance(run.method, Adiw)
    assert isinstance(run.method.estimator, AutoEstimator)
    return run.method.estimator


def test_shares_add_up_to_one_and_leave_the_uniform_after_the_warm_up() -> None:
    run = TrainingRun(AUTO)
    uniform = dict.fromkeys(CANDIDATES, 1 / len(CANDIDATES))
    assert run.run_epoch().shares == pytest.approx(uniform)  # the warm-up asks no divergence
    reports = [run.run_epoch() for _ in range(4)]
    for report in reports:
        assert set(report.shares) == set(CANDIDATES)
        assert sum(report.shares.values()) == pytest.approx(1, abs=1e-6)
        assert min(report.shares.values()) > 0
    assert len({tuple(report.shares.values()) for report in reports}) == 4
    assert max(reports[0].shares.values()) > 1.05 / len(CANDIDATES)
    assert reports[-1].as_dict()["shares"] == reports[-1].shares == run.method.shares()


def test_other_runs_have_no_shares() -> None:
    assert TrainingRun(replace(AUTO, divergence="mmd")).run_epoch().shares == {}
    assert TrainingRun(replace(AUTO, divergence="mmd", method="erm")).run_epoch().shares == {}


@pytest.mark.parametrize("planted", CANDIDATES)
def test_a_harmful_divergence_loses_its_share(planted: str) -> None:
    run = TrainingRun(AUTO)
    estimator(run).divergences[planted] = WorstRows()
    while not run.finished:
        shares = run.run_epoch().shares
    # It puts most weight on wrong labels, as the test means it to.
    harmful = estimator(run).memories[planted]
    assert isinstance(harmful, WeightMemory)
    right = unflipped(run)
    assert float(harmful.weights[~right].mean()) > 1.25
    # Measured: 0.03 to 0.04, and the others 0.26 to 0.37.
    others = [share for name, share in shares.items() if name != planted]
    assert shares[planted] < min(others) / 2


def test_weights_are_the_mixture_of_the_divergences(small_run: MakeRun) -> None:
    run = small_run(divergence="auto")
    before = run.method.shares()
    w = run.method.weigh(small.first_step(run))
    assert w is not None
    remembered = estimator(run).memories.values()
    each = torch.stack([memory.weights[:24] for memory in remembered])
    mixed = torch.tensor([before[name] for name in CANDIDATES]) @ each
    assert torch.allclose(w, mixed, atol=1e-6)
    assert float(w.mean()) == pytest.approx(1, abs=1e-5)
    assert float((each[0] - each[1]).abs().max()) > 0.01  # the divergences do differ
    assert run.method.shares() != before


def test_the_effective_share_is_that_of_rows_with_equal_weights() -> None:
    w = torch.tensor([[1.0, 1, 1, 1], [2, 2, 0, 0], [4, 0, 0, 0], [3, 3, 3, 3]])
    assert effective_share(w).tolist() == [1, 0.5, 0.25, 1]


def test_of_two_that_match_alike_the_flatter_weights_get_the_larger_share(
    small_run: MakeRun,
) -> None:
    auto = estimator(small_run(divergence="auto"))
    source, held_out = torch.tensor([0.0, 0, 1, 1]), torch.tensor([0.0, 0])
    flat, spiky = torch.tensor([2.0, 2, 0, 0]), torch.tensor([4.0, 0, 0, 0])
    auto._learn(torch.stack([flat, spiky, torch.ones(4)]), source, held_out)
    first, second, third = auto.shares().values()
    assert first > 1.5 * second > 1.5 * third
    assert float(auto.gains[0]) == pytest.approx(2 * float(auto.gains[1]))


@pytest.mark.parametrize(("batch", "held_out"), [(256, 10), (8, 2), (3, 1), (2, 1)])
def test_rows_held_out_to_judge_are_not_matched(
    small_run: MakeRun, batch: int, held_out: int
) -> None:
    run = small_run(divergence="auto", reference_size=40, reference_batch_size=batch)
    drawn = small.first_step(run).learner.look(run.method.reference.draw())
    matched, judging = divided(drawn)
    assert len(judging.labels) == held_out
    assert torch.equal(torch.cat([matched.losses, judging.losses]), drawn.losses)


def test_one_reference_row_has_to_serve_for_both(small_run: MakeRun) -> None:
    run = small_run(divergence="auto", reference_size=1)
    assert run.run_epoch().epoch == 1


def test_no_more_rows_pass_through_the_network_than_with_one_divergence(
    small_run: MakeRun,
) -> None:
    counts = []
    for divergence in ("mmd", "auto"):
        run = small_run(divergence=divergence, reference_batch_size=16)
        step = small.first_step(run)
        seen: list[int] = []
        run.network.features.register_forward_pre_hook(
            lambda module, inputs, seen=seen: seen.append(len(inputs[0]))
        )
        run.method.weigh(step)
        counts.append(seen)
    assert counts[0] == counts[1] == [16]


def test_solved_side_by_side_is_solved_one_by_one(small_run: MakeRun) -> None:
    run = small_run(divergence="auto")
    auto = estimator(run)
    source, target = torch.rand(24).exp(), torch.rand(16)
    together = auto._candidates(source, target, torch.arange(24))
    for row, divergence in zip(together, auto.divergences.values(), strict=True):
        alone = auto.solver.solve(divergence.prepare(source, target), torch.ones(24))
        torch.testing.assert_close(row, alone)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("default")  # the compiler has its own to give
@pytest.mark.parametrize("divergence", ["auto", "squared"])  # which has the least to compile
def test_a_run_can_compile_its_weight_step(small_run: MakeRun, divergence: str) -> None:
    plain, compiled = (
        # One step, since the code of each is compiled anew.
        small_run(divergence=divergence, batch_size=41, steps=1, compiled=choice)
        for choice in (False, True)
    )
    compiled.network.load_state_dict(plain.network.state_dict())
    assert compiled.run_epoch().loss == pytest.approx(plain.run_epoch().loss, abs=1e-5)
    steps = [module for module in compiled.method.modules() if hasattr(module, "_estimate")]
    assert [step._estimate._run is not step._estimate.function for step in steps] == [True]
