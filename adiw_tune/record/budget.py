"""How much a search may spend: time, device hours or money, with a share kept for its finale."""

import re
from dataclasses import dataclass

from adiw_tune.errors import UserError

SEARCH_SHARE = 0.7  # of the budget; the rest is kept for the finale: seeds, timing, the winner
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_HOW = "write a time such as 10m or 1.5h, device hours such as 2gpu-h, or money such as $5"


@dataclass(frozen=True)
class Budget:
    """Wall seconds that a search may take in all, kills and pauses between sessions left out.

    Args:
        seconds: above 0.
    """

    seconds: float

    @classmethod
    def parse(cls, text: str, price: float | None, devices: int) -> "Budget":
        """Read ``10m``, ``2gpu-h`` or ``$5``.

        Args:
            text: a number with s, m or h; with gpu-h, hours of one device; or with $ before it.
            price: of one device for one hour, in the currency of $: needed for money.
            devices: that the search holds from its start to its end, at least 1: its GPUs, or
                the machine where there is none. All of them are spent while it runs.
        """
        if match := re.fullmatch(r"([\d.]+)(s|m|h)", text):
            return cls(_above_zero(match[1], text) * _SECONDS[match[2]])
        if match := re.fullmatch(r"([\d.]+)gpu-h", text):
            return cls(_above_zero(match[1], text) * 3600 / devices)
        if match := re.fullmatch(r"\$([\d.]+)", text):
            if price is None or not price > 0:
                raise UserError(
                    f"budget '{text}' needs --price above 0: what one device costs for one hour"
                )
            return cls(_above_zero(match[1], text) / price * 3600 / devices)
        raise UserError(f"unknown budget '{text}': {_HOW}")

    def left_s(self, spent_s: float, finale: bool) -> float:
        """Seconds left to the finale, or to the search before it; 0 or below: none."""
        return self.seconds * (1.0 if finale else SEARCH_SHARE) - spent_s


def _above_zero(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise UserError(f"budget '{text}' must be above 0: {_HOW}")
    return value
