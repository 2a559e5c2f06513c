"""The kernel-mean-matching problem solved to convergence on the CPU, as the first DIW does."""

import numpy as np
import torch
from torch import Tensor

from adiw_tune.divergences.mmd import MMDObjective
from adiw_tune.weights.feasible import FeasibleSet


def solve_mmd_exactly(objective: MMDObjective, feasible: FeasibleSet) -> Tensor:
    """argmin w'Qw/2 - q'w over the feasible set, by cvxopt's interior-point QP: [n].

    Copies Q to the host and the weights back: the cost that the few-step solver avoids. From
    losses that are no longer numbers come weights that are not, for the loop to report.

    Source: Fang et al., "Rethinking importance weighting for deep learning under distribution
    shift", NeurIPS 2020.
    """
    from cvxopt import matrix, solvers

    n = len(objective.linear)
    quadratic = objective.quadratic.double().cpu().numpy() * n  # scaled to entries of order 1/n
    linear = objective.linear.double().cpu().numpy() * n
    if not (np.isfinite(quadratic).all() and np.isfinite(linear).all()):
        return torch.full_like(objective.linear, torch.nan)
    ones = np.ones((1, n))
    rows = [-np.eye(n), np.eye(n)]
    bounds = [np.zeros(n), np.full(n, feasible.cap)]
    equality = {}
    if feasible.slack:
        rows += [ones / n, -ones / n]
        bounds += [np.array([1 + feasible.slack]), np.array([feasible.slack - 1])]
    else:
        equality = {"A": matrix(ones / n), "b": matrix(1.0)}
    solution = solvers.qp(
        matrix(quadratic + 1e-10 * np.eye(n)),
        matrix(-linear),
        matrix(np.vstack(rows)),
        matrix(np.concatenate(bounds)),
        options={"show_progress": False},
        **equality,
    )
    w = torch.from_numpy(np.array(solution["x"]).ravel()).to(objective.linear)
    return feasible.project(w)  # the interior point is feasible only to its own tolerance
