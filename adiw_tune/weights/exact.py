"""The kernel-mean-matching problem solved to convergence on the CPU, as the first DIW does."""

import numpy as np
import torch
from torch import Tensor

from adiw_tune.divergences.mmd import MMDObjective
from adiw_tune.weights.feasible import FeasibleSet


def solve_mmd_exactly(objective: MMDObjective, feasible: FeasibleSet) -> Tensor:
    """argmin f over the feasible set, by cvxopt's interior-point QP: [n].

    Copies the kernel to the host and the weights back: the cost that the few-step solver avoids.
    From losses that are no longer numbers come weights that are not, for the loop to report.

    Source: Fang et al., "Rethinking importance weighting for deep learning under distribution
    shift", NeurIPS 2020.
    """
    from cvxopt import matrix, solvers, sparse, spmatrix

    n = len(objective.mean_to_target)
    kernel = objective.kernel if isinstance(objective.kernel, Tensor) else objective.kernel.held()
    quadratic = kernel.double().cpu().numpy() / n  # both scaled by n: entries of order 1/n and 1
    linear = objective.mean_to_target.double().cpu().numpy()
    if not (np.isfinite(quadratic).all() and np.isfinite(linear).all()):
        return torch.full_like(objective.mean_to_target, torch.nan)
    quadratic[np.diag_indices(n)] += 1e-10
    # Sparse, or cvxopt multiplies [2n, n] matrices in each iteration and takes 8 times as long.
    rows = [spmatrix(-1.0, range(n), range(n)), spmatrix(1.0, range(n), range(n))]
    bounds = [np.zeros(n), np.full(n, feasible.cap)]
    equality = {}
    if feasible.slack:
        rows += [matrix(1 / n, (1, n)), matrix(-1 / n, (1, n))]
        bounds += [np.array([1 + feasible.slack]), np.array([feasible.slack - 1])]
    else:
        equality = {"A": matrix(1 / n, (1, n)), "b": matrix(1.0)}
    solution = solvers.qp(
        matrix(quadratic),
        matrix(-linear),
        sparse(rows),
        matrix(np.concatenate(bounds)),
        options={"show_progress": False},
        **equality,
    )
    w = torch.from_numpy(np.array(solution["x"]).ravel()).to(objective.mean_to_target)
    return feasible.project(w)  # the interior point is feasible only to its own tolerance
