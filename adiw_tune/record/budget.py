"""How much a search may spend: time, device hours or money, with a share kept for its finale."""

import re
from dataclasses import dataclass
from typing import Literal

from adiw_tune.errors import UserError
from adiw_tune.ranges import check_positive

Stage = Literal["search", "baselines", "finale"]

# The share of the budget that may be spent by the end of each stage. The finale covers seeds,
# timing and the winner. Trials of baselines may use a third of what is kept for it, since the
# answer needs them.
SEARCH_SHARE = 0.7
_SHARES: dict[Stage, float] = {"search": SEARCH_SHARE, "baselines": 0.8, "finale": 1.0}
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_NUMBER = "([0-9.]+)"  # \d would take digits of any script
_MOST_SECONDS = 1e9  # 30 years; more than threads can wait for would be an error in them
_HOW = "write a time such as 10m or 1.5h, device hours such as 2gpu-h, or money such as $5"


@dataclass(frozen=True)
class Budget:
    """Wall seconds that a search may take in all, kills and pauses between sessions left out.

    Args:
        seconds: in [1, 1e9].
    """

    seconds: float

    @classmethod
    def parse(cls, text: str, price: float | None, devices: int) -> "Budget":
        """Read ``10m``, ``2gpu-h`` or ``$5``.

        Args:
            text: a number with s, m or h; with gpu-h, hours of one device; or with $ before it.
            price: of one device for one hour, in the currency of $, in [1e-6, 1e6]: needed for
                money.
            devices: that the search holds from its start to its end, at least 1: its GPUs, or
                the machine where there is none. All of them are spent while it runs.

        Raises:
            UserError: it is none of these, or its time lies outside the range of ``seconds``.
        """
        if match := re.fullmatch(f"{_NUMBER}(s|m|h)", text):
            seconds = _above_zero(match[1], text) * _SECONDS[match[2]]
        elif match := re.fullmatch(f"{_NUMBER}gpu-h", text):
            seconds = _above_zero(match[1], text) * 3600 / devices
        elif match := re.fullmatch(rf"\${_NUMBER}", text):
            if price is None or not price > 0:
                raise UserError(
                    f"budget '{text}' needs --price above 0: what one device costs for one hour"
                )
            check_positive("--price", price, 1e-6, 1e6)
            seconds = _above_zero(match[1], text) / price * 3600 / devices
        else:
            raise UserError(f"unknown budget '{text}': {_HOW}")
        if not 1 <= seconds <= _MOST_SECONDS:
            raise UserError(
                f"budget '{text}' is {seconds:.3g} s: it must be 1 s to {_MOST_SECONDS:g} s"
            )
        return cls(seconds)

    def left_s(self, spent_s: float, stage: Stage) -> float:
        """Seconds left to a stage; 0 or below: none."""
        return self.seconds * _SHARES[stage] - spent_s


def doubled(text: str) -> str:
    """Twice the budget that ``text`` names: ``20m`` for ``10m``."""
    return re.sub(_NUMBER, lambda match: f"{2 * float(match[1]):.12g}", text, count=1)


def _above_zero(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UserError(f"budget '{text}' must be above 0: {_HOW}")
    return value
