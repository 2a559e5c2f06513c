"""The projection: exact, by an independent QP."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.weights import FeasibleSet

DTYPES = [torch.float32, torch.float64]


def nearest_by_qp(x: NDArray[np.float64], feasible: FeasibleSet) -> NDArray[np.float64]:
    """argmin ‖w - x‖²/2 over the set, by cvxopt."""
    from cvxopt import matrix, solvers

    n = len(x)
    rows = [-np.eye(n), np.eye(n)]
    bounds = [np.zeros(n), np.full(n, feasible.cap)]
    equality = {}
    if feasible.slack:
        rows += [np.full((1, n), 1 / n), np.full((1, n), -1 / n)]
        bounds += [np.array([1 + feasible.slack]), np.array([feasible.slack - 1])]
    else:
        equality = {"A": matrix(np.full((1, n), 1 / n)), "b": matrix(1.0)}
    solution = solvers.qp(
        matrix(np.eye(n)),
        matrix(-x),
        matrix(np.vstack(rows)),
        matrix(np.concatenate(bounds)),
        options={"show_progress": False, "abstol": 1e-12, "reltol": 1e-12, "feastol": 1e-12},
        **equality,
    )
    return np.array(solution["x"]).ravel()


def random_case(seed: int) -> tuple[Tensor, FeasibleSet]:
    """A point of any scale and a set whose cap and band are sometimes active."""
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 40))
    cap = float(draw.choice([1.0, 1.2, 2.0, 5.0, 50.0]))
    slack = float(draw.choice([0.0, 0.0, 0.05, 0.5, 0.94]))
    scale = 10.0 ** draw.uniform(-2, 2)
    x = draw.choice([0.0, 1.0, 3.0]) + scale * draw.standard_normal(n)
    return torch.from_numpy(x), FeasibleSet(cap, slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", range(4))
def test_projection_is_the_qp_solvers(dtype: torch.dtype, block: int) -> None:
    for seed in range(50 * block, 50 * (block + 1)):
        x, feasible = random_case(seed)
        x = x.to(dtype)
        found = feasible.project(x)
        expected = nearest_by_qp(x.double().numpy(), feasible)
        noise = 2e-6 * max(1.0, float(x.abs().max()), feasible.cap)
        np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=noise)
        assert found.dtype == dtype


def assert_feasible(w: Tensor, feasible: FeasibleSet) -> None:
    assert torch.isfinite(w).all()
    assert w.min() >= 0
    assert w.max() <= feasible.cap
    assert abs(float(w.double().mean()) - 1) <= feasible.slack + 1e-5


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    x=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    cap=st.sampled_from([1.0, 1.5, 2.0, 50.0, 1e4]),
    slack=st.sampled_from([0.0, 0.1, 0.94]),
    dtype=st.sampled_from(DTYPES),
)
def test_projection_is_feasible_and_a_second_one_changes_nothing(
    x: list[float], cap: float, slack: float, dtype: torch.dtype
) -> None:
    feasible = FeasibleSet(cap, slack)
    w = feasible.project(torch.tensor(x, dtype=dtype))
    assert_feasible(w, feasible)
    torch.testing.assert_close(feasible.project(w), w, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("huge", [1e8, 1e30, -1e30])
def test_one_huge_entry_leaves_the_projection_feasible(dtype: torch.dtype, huge: float) -> None:
    feasible = FeasibleSet(cap=4.0)
    w = feasible.project(torch.tensor([0.5, 1.0, 1.5, 1.0, huge, 1.0], dtype=dtype))
    assert_feasible(w, feasible)
    assert w[4] == (4.0 if huge > 0 else 0.0)


def test_entries_far_apart_share_what_is_left_exactly() -> None:
    x = torch.tensor([1e30, 0.2, 1e30, 0.4, -1e30, 0.6, 0.8], dtype=torch.float64)
    w = FeasibleSet(cap=2.0).project(x)
    expected = torch.tensor([2.0, 0.45, 2.0, 0.65, 0.0, 0.85, 1.05], dtype=torch.float64)
    torch.testing.assert_close(w, expected)


def test_the_only_huge_entry_takes_all_the_weight_below_the_cap() -> None:
    w = FeasibleSet(cap=50.0).project(torch.tensor([1.0, 1e30, 0.0], dtype=torch.float64))
    assert w.tolist() == [0.0, 3.0, 0.0]


def test_what_is_not_a_number_stays_so_without_an_error() -> None:
    # Training that diverged is reported by the loop; an index out of range would crash a GPU.
    assert FeasibleSet().project(torch.tensor([1.0, float("nan"), 2.0])).isnan().any()


@pytest.mark.parametrize("slack", [0.0, 0.2])
def test_a_feasible_point_is_its_own_projection(slack: float) -> None:
    w = torch.tensor([0.0, 0.5, 1.0, 2.5], dtype=torch.float64)
    assert torch.equal(FeasibleSet(3.0, slack).project(w), w)


def test_a_mean_inside_the_band_is_left_alone() -> None:
    x = torch.tensor([-0.5, 0.4, 3.5, 0.6])
    w = FeasibleSet(cap=2.0, slack=0.4).project(x)
    torch.testing.assert_close(w, torch.tensor([0.0, 0.4, 2.0, 0.6]))


def test_a_mean_outside_the_band_moves_to_its_nearer_edge() -> None:
    feasible = FeasibleSet(slack=0.25)
    assert float(feasible.project(torch.full((8,), 9.0)).mean()) == pytest.approx(1.25)
    assert float(feasible.project(torch.full((8,), -9.0)).mean()) == pytest.approx(0.75)


def test_cap_one_leaves_only_weight_one() -> None:
    w = FeasibleSet(cap=1.0).project(torch.tensor([5.0, -3.0, 0.2]))
    torch.testing.assert_close(w, torch.ones(3))


@pytest.mark.parametrize("cap", [0.9, 0.0, -1.0, float("nan")])
def test_cap_below_one_is_refused(cap: float) -> None:
    with pytest.raises(UserError, match="cap must be at least 1"):
        FeasibleSet(cap=cap)


@pytest.mark.parametrize("slack", [-0.1, 1.0, float("nan")])
def test_slack_out_of_range_is_refused(slack: float) -> None:
    with pytest.raises(UserError, match=r"slack must lie in \[0, 1\); got"):
        FeasibleSet(slack=slack)
