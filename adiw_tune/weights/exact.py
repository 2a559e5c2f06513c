"""Kernel mean matching solved to convergence on the CPU, as the first DIW does."""

import numpy as np
import torch
from torch import Tensor

from adiw_tune.divergences.mmd import MMDObjective
from adiw_tune.weights.feasible import FeasibleSet

_ROUNDING = 1e-10  # the ridge that a kernel rounded to float32 needs, to be positive definite


def solve_mmd_exactly(objective: MMDObjective, feasible: FeasibleSet, ridge: float = 0.0) -> Tensor:
    """argmin f(w) + ``ridge`` mean((w - 1)²)/2 over the feasible set: [n].

    Args:
        objective: f, the MMD or the energy distance.
        feasible: the set.
        ridge: pull towards w = 1, at least 0. Of 256 rows the data determine a few directions of
            w alone; without a ridge the others are fitted to sampling noise.

    Source: Fang et al., "Rethinking importance weighting for deep learning under distribution
    shift", NeurIPS 2020, for the problem without a ridge.
    """
    n = len(objective.mean_to_target)
    kernel = objective.kernel if isinstance(objective.kernel, Tensor) else objective.kernel.held()
    quadratic, linear = kernel.double(), n * (objective.mean_to_target.double() + ridge)
    quadratic = quadratic + n * max(ridge, _ROUNDING) * torch.eye(n).to(quadratic)
    return solve_quadratic(quadratic, linear, feasible).to(objective.mean_to_target)


def solve_quadratic(quadratic: Tensor, linear: Tensor, feasible: FeasibleSet) -> Tensor:
    """argmin w'Qw/2 - q'w over the feasible set, by cvxopt's interior-point QP: [n], float64.

    Copies Q to the host and the weights back: the cost that the few-step solver avoids. From
    losses that are no longer numbers come weights that are not, for the loop to report.

    Where the solver stops depends on the size of Q and q. Q of the size of the kernel's entries,
    which are at most 1, is what the published DIW solves.

    Args:
        quadratic: Q, [n, n], positive semi-definite.
        linear: q, [n].
        feasible: the set.
    """
    from cvxopt import matrix, solvers, sparse, spmatrix

    n = len(linear)
    if not (quadratic.isfinite().all() and linear.isfinite().all()):
        return torch.full_like(linear, torch.nan)
    # Sparse, or cvxopt multiplies [2n, n] matrices in each iteration and takes 8 times as long.
    rows = [spmatrix(1.0, range(n), range(n)), spmatrix(-1.0, range(n), range(n))]
    bounds = [np.full(n, feasible.cap), np.zeros(n)]
    equality = {}
    if feasible.slack:
        rows += [matrix(1.0, (1, n)), matrix(-1.0, (1, n))]
        bounds += [np.array([n * (1 + feasible.slack)]), np.array([n * (feasible.slack - 1)])]
    else:
        equality = {"A": matrix(1.0, (1, n)), "b": matrix(float(n))}
    solution = solvers.qp(
        matrix(quadratic.cpu().numpy()),
        matrix(-linear.cpu().numpy()),
        sparse(rows),
        matrix(np.concatenate(bounds)),
        options={"show_progress": False},
        **equality,
    )
    w = torch.from_numpy(np.array(solution["x"]).ravel()).to(linear)
    return feasible.project(w)  # the interior point is feasible only to its own tolerance
