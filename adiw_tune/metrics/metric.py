"""A metric: its name, its direction, its range, and which targets it is for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adiw_tune.metrics.predictions import Predictions

_Signed = TypeVar("_Signed", bound=object)


@dataclass(frozen=True)
class Metric:
    """What says how good predictions are.

    Args:
        name: what the command line, records and MLflow call it.
        greater_is_better: its direction; scikit-learn's word.
        least, most: between which it lies, both included; infinite where there is no end.
        kinds: of targets that it is for, of :data:`adiw_tune.metrics.KINDS`.
        needs_groups: whether rows without groups have none of it.
        compute: its value, NaN where these rows have none; None where it is known by name alone,
            as a task's own metric is from a record.
    """

    name: str
    greater_is_better: bool = True
    least: float = -math.inf
    most: float = math.inf
    kinds: tuple[str, ...] = ()
    needs_groups: bool = False
    compute: Callable[[Predictions], float] | None = None

    def score(self, values: _Signed) -> _Signed:
        """``values`` signed so that greater is better. Of a score it gives the value back."""
        return values if self.greater_is_better else -values  # type: ignore[operator]

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1], so that a hundredth of it is a point."""
        return (self.least, self.most) == (0, 1)

    @property
    def worst(self) -> float:
        """The worst value that it can have; infinite where there is none."""
        return self.least if self.greater_is_better else self.most

    @property
    def best_of_all(self) -> str:
        """What is said of the best: the most accurate, or the best by rmse."""
        return "the most accurate" if self.name == "accuracy" else f"the best by {self.name}"

    @property
    def better(self) -> str:
        """What is said of a better one: more accurate, or better by rmse."""
        return "more accurate" if self.name == "accuracy" else f"better by {self.name}"

    def text(self, value: float | None) -> str:
        """A value as it is shown: 4 decimals, or 5 digits where these would tell too little."""
        if value is None or math.isnan(value):
            return "-"
        usual = self.is_share or 0.01 <= abs(value) < 100
        return f"{value:.4f}" if usual else f"{value:.5g}"

    def interval_text(self, interval: Sequence[float]) -> str:
        """Its ends: [0.9276, 0.9428]."""
        low, high = interval
        return f"[{self.text(low)}, {self.text(high)}]"

    def difference(self, gain: float) -> str:
        """How far two values are apart: in points, or in the metric's own unit."""
        return f"{_points(gain)} points" if self.is_share else f"{gain:.3g}"

    def difference_interval(self, interval: Sequence[float]) -> str:
        """The ends of such a difference, in its unit: [4.8, 7.3]."""
        low, high = interval
        if self.is_share:
            return f"[{_points(low)}, {_points(high)}]"
        return f"[{low:.3g}, {high:.3g}]"


def _points(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:.1f}"  # of a tiny loss 0.0, and not -0.0
