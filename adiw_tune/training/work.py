"""What a run costs: its steps, in seconds of a step that has the device to itself.

Wall time is no cost where runs share a machine: one job alone on two cores took 1.0 s, and 4.7 s
beside three others. What it does is the same each time. So steps are counted, and multiplied by
what one takes, measured once on the same device while nothing else runs there.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class StepCost:
    """What one step of training costs: the update of the network on one mini-batch.

    Args:
        plain_s: exclusive seconds of a plain step, with w = 1: rows gathered and augmented,
            forward, mean loss, backward, update. A low quantile of many: what else the machine does
            only ever adds to a step's time, so the fast ones tell what the step itself takes, and
            the very fastest may be luck.
        ratio: of a step of this configuration, weights included, to a plain one: the median over
            pairs that ran one right after the other, so that a clock that drifts cancels. 1 for
            methods whose steps are plain.
        warm_up_ratio: of a step of the warm-up epochs to a plain one: more than 1 where reference
            rows are trained on. Earlier versions did not, and had 1.
        speed: of the device that measured, in units of the one in whose seconds the cost is told:
            1 on that one, 0.5 where a plain step takes twice as long.
        extra_speed: the same for what a step of the configuration takes beyond a plain one: where
            the network's passes are half as fast, weights need not be. None: not known, and
            taken to be ``speed``.
    """

    plain_s: float
    ratio: float
    speed: float = 1.0
    extra_speed: float | None = 1.0
    warm_up_ratio: float = 1.0

    def speeds(self, there: Self) -> tuple[float, float | None]:
        """Of the device that measured this, in units of the one where the step costs ``there``.

        For a plain step, and for what the step takes beyond one; None where it takes no more.
        """
        speed = there.plain_s / self.plain_s
        if min(there.ratio, self.ratio) <= 1:
            return speed, None
        return speed, speed * (there.ratio - 1) / (self.ratio - 1)

    def told_with(self, speed: float, extra_speed: float | None) -> Self:
        """What was measured on a device of these speeds, in seconds of the one of speed 1."""
        extra = (extra_speed or speed) / speed
        return replace(
            self,
            plain_s=self.plain_s * speed,
            ratio=1 + (self.ratio - 1) * extra,
            speed=speed,
            extra_speed=extra_speed,
            warm_up_ratio=1 + (self.warm_up_ratio - 1) * extra,
        )

    def as_dict(self) -> dict[str, float]:
        """For records; ``StepCost(**it)`` is the same again."""
        return asdict(self)


@dataclass
class Work:
    """What a run has done, and what that cost.

        seconds = plain_s (warm_up_ratio warm_up_steps + ratio weighted_steps) + speed begin_s

    Args:
        cost: of a step; None until it has been measured.
        warm_up_steps: taken in the warm-up. A last short mini-batch counts as a whole one.
        weighted_steps: taken after it.
        begin_s: what the method did once after the warm-up (static's weights, giw's SVM), which
            is no step, and is timed where it happens: seconds of CPU time; with several threads
            and on CUDA of wall time, alone on the device.
    """

    cost: StepCost | None = None
    warm_up_steps: int = 0
    weighted_steps: int = 0
    begin_s: float = 0.0

    @property
    def seconds(self) -> float | None:
        """Exclusive seconds of work; None while the cost of a step is not known."""
        if self.cost is None:
            return None
        steps = self.cost.warm_up_ratio * self.warm_up_steps + self.cost.ratio * self.weighted_steps
        return self.cost.plain_s * steps + self.cost.speed * self.begin_s

    def goes_on_at(self, speed: float, extra_speed: float | None) -> None:
        """From here on the device has these speeds, by which what is done once will be told.

        Where that has been done, the speed stays that of the device which did it.
        """
        if self.cost is not None and self.begin_s == 0:
            self.cost = replace(self.cost, speed=speed, extra_speed=extra_speed)

    def count(self, weighted: bool) -> None:
        """One more step has been taken."""
        self.weighted_steps += weighted
        self.warm_up_steps += not weighted

    def state_dict(self) -> dict[str, Any]:
        """All of it, of types ``weights_only`` loads."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``; a cost known here stays where ``state`` has none."""
        former = "plain_steps"  # its name in the states of earlier versions
        self.warm_up_steps = state["warm_up_steps" if "warm_up_steps" in state else former]
        self.weighted_steps = state["weighted_steps"]
        self.begin_s = state["begin_s"]
        if state["cost"] is not None:
            self.cost = StepCost(**state["cost"])
