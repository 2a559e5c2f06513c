"""What an epoch of training came to."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of training came to.

    Args:
        epoch: 1 for the first.
        metrics: on the select split, by name, all that apply; None where it has no value.
        train_seconds: of wall time spent training since the start of the run; without evaluation,
            set-up, and waiting.
        loss: mean of the mini-batches' losses, as the method defines them.
        shares: of each divergence in the weights, where there is a choice of them; they add up
            to 1.
        unweighed: how many of the epoch's mini-batches had a loss that is NaN or infinite, and so
            weights of 1; for method static, how many of its groups of rows had one, told in the
            first epoch after the warm-up.
        work_s: exclusive seconds of the work since the start of the run, see
            :class:`adiw_tune.training.work.Work`; None in a run that was not calibrated.
    """

    epoch: int
    metrics: dict[str, float | None]
    train_seconds: float
    loss: float
    shares: dict[str, float] = field(default_factory=dict)
    unweighed: int = 0
    work_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For records."""
        return asdict(self)
