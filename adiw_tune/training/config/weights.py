"""Method of a run, and how it estimates weights."""

from dataclasses import dataclass

from adiw_tune.arms import BASELINES
from adiw_tune.divergences import make_divergence
from adiw_tune.errors import UserError
from adiw_tune.ranges import check_number, shown
from adiw_tune.training.config.checks import (
    MOST_EPOCHS,
    MOST_ROWS,
    check_between,
    check_choice,
    check_wholes,
)
from adiw_tune.weights import FeasibleSet, WeightSolver

METHODS = (
    "adiw",
    "giw",
    "diw",
    "diw-published",
    "l2rw",
    "static",
    "random",
    "erm",
    "pooled",
    "clean-only",
)
# Methods that fit the reference rows in a way of their own, and take no reference_weight.
FITTING_THEM_ANYWAY = ("clean-only", "diw-published")
# Methods that minimise no divergence, whatever the field says.
WITHOUT_DIVERGENCE = ("l2rw", *BASELINES)
# Of methods other than these and erm: what serves most data, by benchmarks/clean_rows.py.
DEFAULT_REFERENCE_WEIGHT = 0.1
AUTO = "auto"  # in place of a divergence's name: several mixed, by what helps held-out rows
WARM_STARTS = ("off", "memory", "decay")
REPRESENTATIONS = ("loss", "feature")
_MOST_RIDGE = 1e6  # weights of 1, to seven digits
_MOST_REFERENCE_WEIGHT = 1e6  # the training rows count for nothing, to float32's six digits


@dataclass(frozen=True)
class WeightConfig:
    """How training rows are weighted.

    Args:
        method: adiw, or what it is compared with: giw (adiw, with the reference rows out of the
            training rows' support trained on), diw (the QP, with a ridge, solved exactly in each
            mini-batch), diw-published (as its authors' code runs it), l2rw (learning to reweight),
            static (weights once, after the warm-up), random (adiw's weights dealt out at random),
            erm (all weights 1), pooled (erm, with the reference rows trained on), clean-only
            (trained on the reference rows alone, with as many updates).
        divergence: what is minimised: a name of :data:`adiw_tune.divergences.DIVERGENCES`, the
            path of a Python file that defines one, or auto, for adiw, giw and random: a mixture
            learnt while training. diw and diw-published have mmd only; of no effect for l2rw, erm,
            pooled and clean-only.
        steps: projected-gradient steps in each mini-batch, in [1, 10^6].
        step_size: of one such step, dimensionless, in [1e-6, 2); 1 is 1/L.
        bandwidth: kernel width in units of the median pairwise distance, in [1e-6, 1e6]; None is
            the representation's (:data:`adiw_tune.divergences.DEFAULT_BANDWIDTHS`), and the only
            choice for a divergence without a kernel.
        ridge: factor of mean((w - 1)²)/2, which diw adds to what it solves, in [0, 10^6]; None is
            0.01, and the only choice for other methods.
        warm_start: where the steps start: off (at 1), memory (at the sample's last weight) or
            decay (at 1 + decay * (last weight - 1)).
        decay: in (0, 1); of no effect unless warm_start is decay.
        warmup_epochs: how many first epochs run with w = 1, in [0, 10^6].
        representation: what weights are estimated on: loss (one number a sample) or feature (the
            last hidden layer together with the label).
        cap: largest weight, in [1, 1e6].
        slack: how far the mean weight may be from 1, in [0, 1).
        reference_batch_size: reference rows in a mini-batch, in [1, 10^9]; of fewer it has all.
        reference_weight: λ, in [0, 10^6]: λ times the mean loss of the reference mini-batch is
            added to the loss, in each step, so that the network is fitted to the reference rows,
            too. None is the method's default: 0 for erm, and for clean-only and diw-published,
            which fit these rows in their own way and take no other; 0.1 for all others.
        compiled: whether the weight step is compiled, see
            :class:`adiw_tune.weights.ImportanceWeighter`: for adiw, giw and random.
    """

    method: str = "adiw"
    divergence: str = "mmd"
    steps: int = 5
    step_size: float = 1.0
    bandwidth: float | None = None
    ridge: float | None = None
    warm_start: str = "decay"
    decay: float = 0.5
    warmup_epochs: int = 1
    representation: str = "loss"
    cap: float = 50.0
    slack: float = 0.0
    reference_batch_size: int = 256
    reference_weight: float | None = None
    compiled: bool = False

    def _check_weights(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("warm_start", self.warm_start, WARM_STARTS)
        check_choice("representation", self.representation, REPRESENTATIONS)
        self._check_divergence()
        self.solver()
        check_wholes(
            vars(self),
            (("warmup_epochs", 0, MOST_EPOCHS), ("reference_batch_size", 1, MOST_ROWS)),
        )
        check_number("decay", self.decay)
        if not 0 < self.decay < 1:
            raise UserError(f"decay must lie in (0, 1); got {shown(self.decay)}")
        if self.ridge is not None:
            if self.method != "diw":
                raise UserError(f"ridge is for method diw: leave it out for {self.method}")
            check_between("ridge", self.ridge, 0, _MOST_RIDGE, "[0, 10^6]")
        self._check_reference_weight()

    def _check_reference_weight(self) -> None:
        if self.reference_weight is None:
            return
        check_between(
            "reference_weight", self.reference_weight, 0, _MOST_REFERENCE_WEIGHT, "[0, 10^6]"
        )
        if self.reference_weight and self.method in FITTING_THEM_ANYWAY:
            raise UserError(
                f"method {self.method} always trains on the reference rows: omit reference_weight, "
                "or set it to 0"
            )

    def _check_divergence(self) -> None:
        if self.divergence == AUTO:
            if self.method not in ("adiw", "giw", "random"):
                raise UserError(
                    f"divergence auto is for method adiw, giw or random: not {self.method}"
                )
            if self.bandwidth is not None:
                raise UserError(
                    "divergence auto takes each divergence's own bandwidth: leave it out"
                )
            return
        make_divergence(self.divergence, self.bandwidth)
        if self.method in ("diw", "diw-published") and self.divergence != "mmd":
            raise UserError(f"method {self.method} solves the mmd problem only: use divergence mmd")

    def solver(self) -> WeightSolver:
        """The few-step solver that this configuration asks for."""
        return WeightSolver(self.steps, self.step_size, FeasibleSet(self.cap, self.slack))

    @property
    def retention(self) -> float:
        """How much of a weight's distance from 1 the next start keeps: 0 off, 1 memory."""
        return {"off": 0.0, "memory": 1.0, "decay": self.decay}[self.warm_start]


def default_reference_weight(method: str) -> float:
    """What None stands for in ``reference_weight``, by method."""
    return 0.0 if method in ("erm", *FITTING_THEM_ANYWAY) else DEFAULT_REFERENCE_WEIGHT
