"""Multi-objective asynchronous successive halving: which trials of a search are worth going on."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from adiw_tune.arms import arm
from adiw_tune.metrics import ACCURACY, Metric

FIRST_RUNG = 2  # chosen, as eta and what becomes of equal ranks, by adiw-tune replay
ETA = 3


class Rungs:
    """Cuts trials that are far from the front of a metric against work, at a few epochs.

    The rungs stand at epochs first, first * eta, first * eta^2, ... and are kept for each
    divergence, so that those whose trials start slowly or cost more are not cut by the others. A
    trial that comes to a rung is ranked among all that have been there, by non-dominated rank over
    (score, work). It goes on if fewer than 1/eta of them are of a better rank, or if fewer than
    eta have come. That is asynchronous: nobody waits, and the first to come are judged mildly.

    Equal ranks stand together, so that what is on the front of its rung is never cut. To break
    them, by an epsilon-net as the source does, by hypervolume or by score, cut more, but too
    often what later was on the front: trials that differ in the weights' first steps only are
    close together at the first rung, or in the warm-up the same.

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
        self, trial: str, divergence: str, epoch: int, epochs: int, score: float, work_s: float
    ) -> bool:
        """Whether ``trial`` is to go on after ``epoch``.

        Its last epoch cuts no trial, as there is nothing left to save. A report that is repeated,
        by a trial that was killed and began again, gives the answer that it gave before.

        Args:
            trial: its id.
            divergence: whose rungs these are.
            epoch: that it has run, 1 for the first.
            epochs: of its full course.
            score: after this epoch, the greater the better: :meth:`Metric.score` of its value.
            work_s: since its start.
        """
        if self._is_rung(epoch):
            reached = self._rungs[divergence, epoch]
            if trial not in reached:
                reached[trial] = (score, work_s)
                if trial not in self.cut and not _last_is_among_best(reached, self._eta):
                    self.cut[trial] = epoch
        if epoch >= epochs:
            self.cut.pop(trial, None)
        return epoch < self.cut.get(trial, math.inf)

    def told(
        self, trial: str, config: Mapping[str, Any], epoch: Mapping[str, Any], metric: Metric
    ) -> bool:
        """The same from what was reported of an epoch: epoch, work_s, and the metric by its name.

        Where that has no value, None or NaN, the trial goes on.
        """
        value = epoch.get(metric.name)
        if value is None or math.isnan(value):
            return True
        reported = (metric.score(value), epoch["work_s"])
        return self.report(trial, arm(config), epoch["epoch"], config["epochs"], *reported)

    def _is_rung(self, epoch: int) -> bool:
        while epoch > self._first and epoch % self._eta == 0:
            epoch //= self._eta
        return epoch == self._first

    @classmethod
    def replayed(cls, events: Iterable[dict[str, Any]], metric: Metric = ACCURACY) -> Self:
        """The rungs of a search as its log leaves them; what did happen to a trial stands.

        Args:
            events: those of ``events.jsonl``, in order.
            metric: that the search chooses by.
        """
        rungs = cls()
        configs: dict[str, dict[str, Any]] = {}
        for event in events:
            trial = event.get("trial", "")
            if event["event"] == "trial" and event["kind"] == "search":
                configs[trial] = event["config"]
            elif trial in configs and event["event"] == "epoch":
                rungs.told(trial, configs[trial], {**event["metrics"], **event}, metric)
            elif trial in configs and event["event"] == "cut":
                rungs.cut[trial] = event["rung"]
            elif event["event"] == "end" and event["status"] != "pruned":
                rungs.cut.pop(trial, None)
        return rungs


def _last_is_among_best(reached: dict[str, tuple[float, float]], eta: int) -> bool:
    """Whether fewer than 1/eta of those that came are of a better rank than the last."""
    rank = non_dominated_ranks(np.array(list(reached.values())))
    better = int((rank < rank[-1]).sum())
    return len(reached) < eta or better * eta < len(reached)


def non_dominated_ranks(points: np.ndarray) -> np.ndarray:
    """Ranks [n] of points (score, work) [n, 2]: 0 for the front, 1 for what is it then, ...

    One point dominates another if it is as good in both and better in one; equals rank alike.
    """
    score, work = points.T
    no_worse = (score[:, None] >= score) & (work[:, None] <= work)
    dominates = no_worse & ~no_worse.T
    ranks = np.full(len(points), -1)
    while (left := ranks < 0).any():
        ranks[left & ~dominates[left].any(axis=0)] = ranks.max() + 1
    return ranks
