"""Mini-batches of a few rows, without end."""

from typing import Any

import torch
from torch import Tensor, nn

from adiw_tune.tasks import Split


class BatchStream(nn.Module):
    """Mini-batches of ``rows`` without end, each pass in a new order.

    A module, so that its place in the stream is in the ``state_dict`` of what holds it. All
    mini-batches are of one size: a short rest would be a poor sample, and is left for another pass.

    Args:
        rows: held in memory, at least one.
        size: rows in a mini-batch, at most all of them.
        seed: fixes the orders.
    """

    def __init__(self, rows: Split, size: int, seed: int) -> None:
        super().__init__()
        self.rows = rows
        self.size = size
        self._generator = torch.Generator().manual_seed(seed)
        self._left = torch.empty(0, dtype=torch.int64)  # row numbers still to come in this pass

    def draw_from(self, rows: Split) -> None:
        """Draw from other rows from now on, in a new pass."""
        self.rows = rows
        self._left = self._left[:0]

    def draw(self) -> Split:
        """The next mini-batch."""
        size = min(self.size, len(self.rows))
        if len(self._left) < size:
            device = self.rows.labels.device
            # Pinned, or the host would wait for the copy.
            order = torch.randperm(
                len(self.rows), generator=self._generator, pin_memory=device.type == "cuda"
            )
            self._left = order.to(device, non_blocking=True)
        index, self._left = self._left[:size], self._left[size:]
        return self.rows.take(index)

    def get_extra_state(self) -> dict[str, Tensor]:
        """Where the stream stands."""
        return {"generator": self._generator.get_state(), "left": self._left.cpu().clone()}

    def set_extra_state(self, state: Any) -> None:
        """Go on from ``state``."""
        self._generator.set_state(state["generator"])
        self._left = state["left"].to(self.rows.labels.device)
