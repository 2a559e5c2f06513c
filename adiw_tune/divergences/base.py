"""What a divergence is to the rest of the package: two small interfaces."""

from typing import Protocol

from torch import Tensor


class WeightObjective(Protocol):
    """A convex function f of the weights w of one mini-batch, with its kernels already computed.

    Everything returned lives on the device and in the dtype of the source it was prepared from,
    and nothing waits for the device: no method may call ``.item()`` or branch on a value.
    """

    def value(self, w: Tensor) -> Tensor:
        """f(w), a scalar. ``w``: [n], dimensionless, non-negative."""
        ...

    def gradient(self, w: Tensor) -> Tensor:
        """∇f(w), or a subgradient where f has a kink: [n]."""
        ...

    def curvature(self, w: Tensor) -> Tensor:
        """A positive scalar L(w) that makes ``w - ∇f(w)/L(w)`` a step of sensible length.

        For a smooth f it bounds the largest eigenvalue of the Hessian at w. It is what makes the
        solver's step size dimensionless.
        """
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
