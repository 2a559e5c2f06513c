"""What a divergence is to the rest of the package: two interfaces of one method each."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Local(NamedTuple):
    """What a step of the solver needs to know of a convex function f at one w: [n].

    Attributes:
        value: f(w), a scalar.
        gradient: ∇f(w), or a subgradient where f has a kink: [n].
        curvature: a scalar L(w) above 0 that makes ``w - ∇f(w)/L(w)`` a step of sensible length.
            For a smooth f it bounds the largest eigenvalue of the Hessian at w. It is what makes
            the solver's step size dimensionless.
    """

    value: Tensor
    gradient: Tensor
    curvature: Tensor


class WeightObjective(Protocol):
    """A convex function f of the weights w of one mini-batch, with its kernels already computed.

    Everything returned lives on the device and in the dtype of the source it was prepared from,
    and nothing waits for the device: no ``.item()``, no branch on a value.

    An objective may set ``diminishing = True`` if steps of 1/curvature do not converge, as where f
    has kinks: the solver then takes ever shorter steps.
    """

    def at(self, w: Tensor) -> Local:
        """f near ``w``: [n], dimensionless, non-negative. One call, for they share their work."""
        ...


class Divergence(Protocol):
    """A way to measure how far the weighted source sample is from the target sample."""

    def prepare(self, source: Tensor, target: Tensor) -> WeightObjective:
        """Do the work that does not depend on w (kernels, sorting), once per mini-batch.

        Args:
            source: [n] or [n, d], representation (losses or features) of the training rows.
            target: [m] or [m, d], the same representation of the reference rows.
        """
        ...
