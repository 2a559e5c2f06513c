"""The same problems solved to convergence by other people's solvers, or by another algorithm.

All over {0 <= w_i <= cap, mean(w) = 1}. Everything is float64 NumPy: [n] weights back.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

Array = NDArray[np.float64]


def qp_of_mmd(quadratic: Array, linear: Array, cap: float) -> Array:
    """argmin w'Qw/2 - q'w by SciPy's sequential quadratic programming."""
    n = len(linear)
    result = minimize(
        lambda w: n * (w @ quadratic @ w / 2 - linear @ w),
        np.ones(n),
        jac=lambda w: n * (quadratic @ w - linear),
        bounds=[(0, cap)] * n,
        constraints={"type": "eq", "fun": lambda w: w.mean() - 1, "jac": lambda w: np.ones(n) / n},
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    assert result.success, result.message
    return np.asarray(result.x)


def qp_projection(x: Array, cap: float, slack: float = 0.0) -> Array:
    """The feasible point nearest to x by cvxopt's interior-point QP."""
    from cvxopt import matrix, solvers

    n = len(x)
    rows = np.vstack([-np.eye(n), np.eye(n), np.ones((1, n)) / n, -np.ones((1, n)) / n])
    width = max(slack, 1e-10)  # the interior of the band must not be empty
    bounds = np.concatenate([np.zeros(n), np.full(n, cap), [1 + width, width - 1]])
    solution = solvers.qp(
        matrix(np.eye(n)),
        matrix(-x.astype(float)),
        matrix(rows),
        matrix(bounds),
        options={"show_progress": False, "abstol": 1e-12, "reltol": 1e-12, "feastol": 1e-12},
    )
    return np.array(solution["x"]).ravel()


def em_of_kl(smoother: Array, mass: Array, cap: float, iterations: int) -> Array:
    """argmin -mean(log Aw) + b'w by minorise-maximise.

    w_i <- clip(g_i w_i / (b_i + λ), 0, cap) with g = A'(1/Aw)/m and λ such that mean(w) = 1.
    """
    m, n = smoother.shape
    w = np.ones(n)
    for _ in range(iterations):
        pull = (1 / (smoother @ w)) @ smoother / m * w
        w = _with_mean_one(pull, mass, cap)
    return w


def _with_mean_one(pull: Array, mass: Array, cap: float) -> Array:
    """clip(pull / (mass + λ), 0, cap) of mean 1: λ searched on a grid that shrinks 60-fold."""
    low, high = -mass.min(), float(pull.max() * len(pull))  # mean is above 1, then below

    def weights(shift: Array) -> Array:
        denominator = mass + shift[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            w = np.where(denominator > 0, pull / denominator, np.inf * (pull > 0))
        return np.clip(np.nan_to_num(w, posinf=cap), 0, cap)

    for _ in range(8):
        grid = np.linspace(low, high, 61)
        k = int(np.argmax(weights(grid).mean(axis=1) <= 1))
        low, high = grid[max(k - 1, 0)], grid[k]
    return np.asarray(weights(np.array([high]))[0])


def gap_bound(gradient: Array, w: Array, cap: float) -> float:
    """No feasible s has f(s) < f(w) - gap_bound, f being convex: max_s g'(w - s) (Frank, Wolfe)."""
    n = len(w)
    room = np.full(n, float(n))
    s = np.zeros(n)
    left = float(n)
    for i in np.argsort(gradient):
        s[i] = min(cap, left, room[i])
        left -= s[i]
    return float(gradient @ (w - s))


def lp_of_wasserstein(source: Array, target: Array, cap: float) -> tuple[float, Array]:
    """Optimal transport with free source masses up to cap/n, by SciPy's LP: (W1, weights)."""
    n, m = len(source), len(target)
    cost = np.abs(source[:, None] - target[None, :]).ravel()
    result = linprog(
        cost,
        A_ub=np.kron(np.eye(n), np.ones(m)),
        b_ub=np.full(n, cap / n),
        A_eq=np.kron(np.ones(n), np.eye(m)),
        b_eq=np.full(m, 1 / m),
    )
    assert result.success, result.message
    return float(result.fun), result.x.reshape(n, m).sum(axis=1) * n


def lp_of_slices(source: Array, target: Array, cap: float) -> Array:
    """The weights that minimise the sum of W1 over the columns: [n, lines], [m, lines] -> [n].

    W1 on each line is the least Σ gap_q t_q with t >= |D|, D being linear in the weights.
    """
    n, lines = source.shape
    rows, gaps, ends = [], [], []
    for line in range(lines):
        pooled = np.sort(np.concatenate([source[:, line], target[:, line]]))
        rows.append((source[:, line] <= pooled[:-1, None]) / n)
        ends.append((target[:, line] <= pooled[:-1, None]).mean(axis=1))
        gaps.append(np.diff(pooled))
    reached, wanted, gap = np.concatenate(rows), np.concatenate(ends), np.concatenate(gaps)
    slack = np.eye(len(gap))
    result = linprog(
        np.concatenate([np.zeros(n), gap]),
        A_ub=np.block([[reached, -slack], [-reached, -slack]]),
        b_ub=np.concatenate([wanted, -wanted]),
        A_eq=np.concatenate([np.ones(n) / n, np.zeros(len(gap))])[None],
        b_eq=[1.0],
        bounds=[(0, cap)] * n + [(0, None)] * len(gap),
    )
    assert result.success, result.message
    return np.asarray(result.x[:n])
