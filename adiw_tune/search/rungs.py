"""Multi-objective asynchronous successive halving: which trials of a search are worth going on."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from adiw_tune.search.history import arm

FIRST_RUNG = 2  # what these two were chosen by: adiw-tune replay
ETA = 3


class Rungs:
    """Cuts trials that are far from the front of accuracy against work, at a few epochs.

    The rungs stand at epochs first, first * eta, first * eta^2, ... and are kept for each
    divergence, so that those whose trials start slowly or cost more are not cut by the others. A
    trial that comes to a rung is ranked among all that have been there: by non-dominated rank over
    (accuracy, work), and on equal rank by how much it adds to the spread of those before it, from
    the most accurate on (an epsilon-net). It goes on if it is within the best 1/eta, or if fewer
    than eta have come. That is asynchronous: nobody waits, and the first to come are judged
    mildly.

    Every answer is a function of the reports so far, in their order, so that the log of a search
    brings its rungs back: see :meth:`replayed`.

    Source: Schmucker et al. 2021, Multi-objective Asynchronous Successive Halving
    (arXiv 2106.12639), in the variant that stops trials and pauses none.

    Args:
        first: epoch of the first rung, at least 1.
        eta: a whole number of at least 2: one in so many goes on, and the rungs stand that many
            times apart.

    Attributes:
        cut: the trials that were told to stop, with the rung where that was.
    """

    def __init__(self, first: int = FIRST_RUNG, eta: int = ETA) -> None:
        self._first = first
        self._eta = eta
        self._rungs: dict[tuple[str, int], dict[str, tuple[float, float]]] = defaultdict(dict)
        self.cut: dict[str, int] = {}

    def report(
        self, trial: str, divergence: str, epoch: int, epochs: int, accuracy: float, work_s: float
    ) -> bool:
        """Whether ``trial`` is to go on after ``epoch``.

        Its last epoch cuts no trial, as there is nothing left to save. A report that is repeated,
        by a trial that was killed and began again, gives the answer that it gave before.

        Args:
            trial: its id.
            divergence: whose rungs these are.
            epoch: that it has run, 1 for the first.
            epochs: of its full course.
            accuracy: after this epoch, in [0, 1].
            work_s: since its start.
        """
        if self._is_rung(epoch):
            reached = self._rungs[divergence, epoch]
            if trial not in reached:
                reached[trial] = (accuracy, work_s)
                if trial not in self.cut and not _last_is_among_best(reached, self._eta):
                    self.cut[trial] = epoch
        if epoch >= epochs:
            self.cut.pop(trial, None)
        return epoch < self.cut.get(trial, math.inf)

    def _is_rung(self, epoch: int) -> bool:
        while epoch > self._first and epoch % self._eta == 0:
            epoch //= self._eta
        return epoch == self._first

    @classmethod
    def replayed(cls, events: Iterable[dict[str, Any]]) -> Self:
        """The rungs of a search as its log leaves them; what did happen to a trial stands.

        Args:
            events: those of ``events.jsonl``, in order.
        """
        rungs = cls()
        configs: dict[str, dict[str, Any]] = {}
        for event in events:
            trial = event.get("trial", "")
            if event["event"] == "trial" and event["kind"] == "search":
                configs[trial] = event["config"]
            elif trial in configs and event["event"] == "epoch":
                config = configs[trial]
                reported = (event["accuracy"], event["work_s"])
                rungs.report(trial, arm(config), event["epoch"], config["epochs"], *reported)
            elif trial in configs and event["event"] == "cut":
                rungs.cut[trial] = event["rung"]
        return rungs


def _last_is_among_best(reached: dict[str, tuple[float, float]], eta: int) -> bool:
    """Whether the last of (accuracy, work) to come is in the best 1/eta, rounded up."""
    if len(reached) < eta:
        return True
    points = np.array(list(reached.values()))
    rank = non_dominated_ranks(points)
    alike = np.flatnonzero(rank == rank[-1])
    among_alike = spread_order(_scaled(points)[alike]).index(len(alike) - 1)
    place = int((rank < rank[-1]).sum()) + among_alike
    return place < math.ceil(len(points) / eta)


def non_dominated_ranks(points: np.ndarray) -> np.ndarray:
    """Ranks [n] of points (accuracy, work) [n, 2]: 0 for the front, 1 for what is it then, ...

    One point dominates another if it is as good in both and better in one; equals rank alike.
    """
    accuracy, work = points.T
    no_worse = (accuracy[:, None] >= accuracy) & (work[:, None] <= work)
    dominates = no_worse & ~no_worse.T
    ranks = np.full(len(points), -1)
    while (left := ranks < 0).any():
        ranks[left & ~dominates[left].any(axis=0)] = ranks.max() + 1
    return ranks


def spread_order(points: np.ndarray) -> list[int]:
    """Row numbers of (accuracy, work) [n, 2]: the most accurate, then each the furthest from all.

    The order does not depend on that of the rows, but for equal ones, which keep theirs.
    """
    by_accuracy = np.lexsort((points[:, 1], -points[:, 0]))
    order = [int(by_accuracy[0])]
    distance = np.full(len(points), math.inf)
    while len(order) < len(points):
        distance = np.minimum(distance, np.linalg.norm(points - points[order[-1]], axis=1))
        distance[order] = -1
        order.append(int(by_accuracy[distance[by_accuracy].argmax()]))
    return order


def _scaled(points: np.ndarray) -> np.ndarray:
    """Each column moved and stretched to [0, 1]."""
    low, high = points.min(axis=0), points.max(axis=0)
    scaled: np.ndarray = (points - low) / np.where(high > low, high - low, 1)
    return scaled
