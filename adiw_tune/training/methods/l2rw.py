"""Learning to reweight."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from adiw_tune.training.kernels import fast_kernels
from adiw_tune.training.methods.base import Method, Step


class LearningToReweight(Method):
    """A row's weight is how much a small step on it would lower the reference loss.

        u_i = -∂/∂ε_i L_ref(θ - α Σ_j ε_j ∇ℓ_j(θ)) at ε = 0,   w_i = n max(u_i, 0) / Σ_j max(u_j, 0)

    At ε = 0 that derivative is α ∇L_ref · ∇ℓ_i, and α cancels: so u is the directional derivative
    of the losses along ∇L_ref, one forward-mode pass after one ordinary gradient. All weights are
    0 where no row would help, as published.

    Source: Ren et al., "Learning to reweight examples for robust deep learning", ICML 2018.
    """

    estimates = True
    _looks_with_gradient = True

    def weigh(self, step: Step) -> Tensor:
        """Rectified alignments with the reference gradient, of mean 1."""
        network, learner, peers = step.learner.network, step.learner, step.learner.peers
        parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}

        def losses(values: dict[str, Tensor]) -> Tensor:
            with learner.rounded(step.rows):
                logits = functional_call(network, values, (step.rows.inputs,))
            return learner.loss(logits.float(), step.rows.labels)

        with learner.statistics_frozen(), learner.few_rows_allowed(len(step.index)):
            of_rows = peers.own(self.look(step).losses, step.reference_size)
            with fast_kernels(of_rows.device):
                part = torch.autograd.grad(
                    of_rows.sum() / step.reference_size,
                    list(parameters.values()),
                    retain_graph=self.reference_weight > 0,  # for the loss that is descended
                    materialize_grads=True,  # 0 for a parameter that the loss does not reach
                )
            direction = dict(zip(parameters, peers.summed(part), strict=True))
            fixed = {name: value.detach() for name, value in parameters.items()}
            with learner.in_user_code("l2rw's forward-mode differentiation", step.rows):
                of_share = _slopes(losses, fixed, direction)
            slopes = peers.gathered(of_share, len(step.index))
        helpful = slopes.detach().clamp_min(0)
        return len(helpful) * helpful / helpful.sum().clamp_min(1e-12)


def _slopes(
    losses: Callable[[dict[str, Tensor]], Tensor],
    parameters: dict[str, Tensor],
    direction: dict[str, Tensor],
) -> Tensor:
    # Of torch's ways to compute attention only the plain one has forward-mode derivatives.
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        # torch compiles its own rules in a way that it deprecates
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated", DeprecationWarning)
        slopes: Tensor = jvp(losses, (parameters,), (direction,))[1]
    return slopes
