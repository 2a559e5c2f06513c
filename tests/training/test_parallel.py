"""Two processes that train one network do what one does: same weights, same losses, same states.

The runs are in ``together.py``, which starts once for all of these tests.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.arms import BASELINES
from adiw_tune.training import Peers

from . import together

Results = dict[str, Any]

# Weights of the runs' last mini-batches. Where a problem has kinks, losses that differ in the last
# digit give other ones.
ILL_CONDITIONED = {"wasserstein": 1e-4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    ran = subprocess.run(
        [sys.executable, "-m", together.__name__, str(folder)],
        cwd=Path(__file__).parents[2],
        text=True,
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@cache
def told(folder: Path, call: str, size: int, rank: int = 0) -> Results:
    results: Results = torch.load(folder / f"{call}-{size}-{rank}.pt", weights_only=True)
    return results


@pytest.fixture(scope="module")
def alone(folder: Path) -> Results:
    return told(folder, "runs", 1)


@pytest.fixture(scope="module")
def first(folder: Path) -> Results:
    return told(folder, "runs", 2)


@pytest.fixture(scope="module")
def second(folder: Path) -> Results:
    return told(folder, "runs", 2, rank=1)


def assert_close(these: Any, others: Any, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(these, others, rtol=tolerance, atol=tolerance)


def assert_same_numbers(these: Results, others: Results, tolerance: float = 1e-5) -> None:
    """Of a whole run: to 1e-5, and weights and memory to ``tolerance``."""
    assert_close(these["weights"][:1], others["weights"][:1])
    assert_close(these["weights"], others["weights"], tolerance)
    assert_close(these["method"], others["method"], tolerance)
    assert_close(these["rows"], others["rows"], tolerance)
    for of in ("losses", "metrics"):
        assert_close(these[of], others[of])
    assert_close(these["network"], others["network"], 3e-5)


@pytest.mark.parametrize("name", together.SAME_NUMBERS)
def test_two_processes_give_the_numbers_of_one(alone: Results, first: Results, name: str) -> None:
    assert_same_numbers(first["same"][name], alone["same"][name], ILL_CONDITIONED.get(name, 2e-5))


@pytest.mark.parametrize("name", together.SAME_NUMBERS)
def test_both_have_the_same_network_and_weights(first: Results, second: Results, name: str) -> None:
    for of in ("weights", "losses", "metrics", "network"):
        assert_close(first["same"][name][of], second["same"][name][of], 0)


def test_the_runs_compared_have_weights_to_compare(alone: Results) -> None:
    without = {*BASELINES, *(name for name in alone["same"] if "of one row" in name)}
    for name, run in alone["same"].items():
        if name not in without or name == "last batch of one row":
            assert max(float((w - 1).abs().max()) for w in run["weights"]) > 0.1, name
    in_support = alone["same"]["giw, some rows out of support"]["method"]["in_support"]
    assert 0.2 < float(in_support.float().mean()) < 0.8


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("name", [*together.GONE_ON, *together.DRAWING])
def test_a_run_of_two_goes_on_as_if_it_had_not_been_stopped(
    folder: Path, name: str, rank: int
) -> None:
    run = told(folder, "runs", 2, rank)["stopped"][name]
    for of in ("weights", "losses", "metrics", "network"):
        assert_close(run["resumed"][of], run["whole"][of], 0)
    if rank == 0:
        assert_close(run["resumed"]["method"], run["whole"]["method"], 0)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", together.GONE_ON)
def test_one_goes_on_from_the_state_of_two_and_two_from_that_of_one(
    folder: Path, name: str, size: int
) -> None:
    whole = told(folder, "runs", 3 - size)["stopped"][name]["whole"]
    assert_same_numbers(told(folder, "gone_on", size)[name], whole, 2e-5)


def test_two_processes_draw_different_random_numbers(alone: Results, first: Results) -> None:
    for name in ("dropout", "augmentation"):
        state, single = (run["stopped"][name]["state"] for run in (first, alone))
        (other,) = state["peers"]
        assert not torch.equal(other["torch"], state["torch"])
        assert single["peers"] == []


def test_each_reads_its_share_of_the_rows(alone: Results, first: Results, second: Results) -> None:
    assert (len(first["read"]), len(second["read"])) == (62, 61)
    assert sorted(first["read"] + second["read"]) == sorted(alone["read"])


def test_measuring_changes_no_number_of_a_run_of_two(first: Results) -> None:
    measured = first["calibrated"]
    expected = first["same"]["static"]
    # Of the weights, those of steps that were taken back have been noted too.
    for kind in ("losses", "metrics", "network", "method"):
        assert_close(measured["run"][kind], expected[kind], 0)
    assert measured["cost"]["plain_s"] > 0
    assert measured["work_s"] > 0


def test_what_cannot_be_done_together_is_refused(first: Results, alone: Results) -> None:
    norm, l2rw = first["batch norm"]
    assert (
        norm == "UserError: batch norm runs on one worker, or on several GPUs: ask for one worker"
    )
    assert l2rw == "UserError: method l2rw with batch norm runs on one worker: ask for one"
    assert alone["batch norm"] == ["nothing"] * 2


def test_training_that_diverges_says_so_in_each(first: Results, second: Results) -> None:
    for results in (first, second):
        assert results["diverged"].startswith("TrainingDivergedError: the training loss became")


@pytest.mark.parametrize("rank", range(3))
def test_what_three_exchange(folder: Path, rank: int) -> None:
    results = told(folder, "exchanged", 3, rank)
    assert_close(results["gathered"], results["rows"], 0)
    for n, share, own in zip(range(1, 9), results["shares"], results["own"], strict=True):
        expected = torch.arange(n).tensor_split(3)[rank]
        assert torch.equal(own, expected)
        assert torch.equal(share, expected if len(expected) else torch.arange(1))
    of_ranks, ones = results["summed"]
    assert torch.equal(of_ranks, torch.full((2, 3), 3.0))
    assert (ones.dtype, float(ones)) == (torch.float64, 3)
    assert results["once"].tolist() == [0, 1, 2]
    assert results["agreed"] == [True, False]


def test_one_process_alone_exchanges_nothing() -> None:
    alone, rows = Peers(), torch.rand(5, 2, requires_grad=True)
    assert alone.share(5) == slice(0, 5)
    assert alone.own(rows, 5) is rows
    assert alone.gathered(rows, 5) is rows
    assert alone.summed([rows])[0] is rows
    assert alone.once(lambda: rows, like=rows) is rows
    assert not alone.agreed(False)
