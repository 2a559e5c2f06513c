"""Generalised importance weighting, for training rows that lack part of what is met in use."""

from functools import partial

import torch
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import Rows, Splits, in_order
from adiw_tune.training.config import TrialConfig
from adiw_tune.training.learner import Learner
from adiw_tune.training.methods.adiw import Adiw
from adiw_tune.training.methods.base import Step
from adiw_tune.training.stream import BatchStream

_SVM_ROWS = 4000  # a one-class SVM's time grows with the square of its rows
# γ in units of sklearn's "scale", whose kernel spans the gaps between classes. Of 1 to 1000, 100
# on features of unit length took the fewest other colours for red on color-fashion: 0% to 8%.
_NARROW = 100.0
_REFUSED = 0.05  # share of the training rows themselves that may count as out of support


class Giw(Adiw):
    """ADIW on the reference rows within the training support, plain training on the others.

        α mean_i w_i ℓ_i + (1 - α) mean_j ℓ(v_j) + λ mean_k ℓ(v_k),
        j over the reference rows out of support, k over those in it

    α is the share of reference rows in support. They are told apart once, after the warm-up, by a
    one-class SVM on the network's features of the training rows: a reference row is in support if
    it scores no lower than all but 5% of training rows that the SVM was not fitted to.

    Source: Fang et al., "Generalizing importance weighting to a universal solver for distribution
    shift problems", NeurIPS 2023. There kernel width and threshold are absolute numbers.
    """

    in_support: Tensor

    def __init__(self, config: TrialConfig, splits: Splits) -> None:
        super().__init__(config, splits)
        self.trusted = splits.reference
        self.register_buffer("in_support", torch.ones(len(splits.reference), dtype=torch.bool))
        self.outside = BatchStream(splits.reference, config.reference_batch_size, config.seed + 4)
        self.alpha = 1.0

    def begin(self, learner: Learner) -> None:
        """Tell the reference rows in support from those out of it."""
        inside = partial(self._inside, learner)
        self.in_support.copy_(learner.peers.once(inside, like=self.in_support))
        self._divide()
        if self.reference is not None:  # all rows were drawn in the warm-up
            self.reference.draw_from(self.reference.rows)

    def _inside(self, learner: Learner) -> Tensor:
        device = self.in_support.device
        generator = torch.Generator().manual_seed(self.config.seed + 3)
        some = torch.randperm(len(self.rows), generator=generator)[: 2 * _SVM_ROWS]
        training = self.rows.take(some.to(device))
        return rows_in_support(*_features(learner, training, self.trusted)).to(device)

    def load_state_dict(self, *arguments: object, **options: object) -> object:
        """Take up the division that the state holds."""
        result = super().load_state_dict(*arguments, **options)  # type: ignore[arg-type]
        self._divide()
        return result

    def _divide(self) -> None:
        inside = self.in_support.nonzero().flatten()
        outside = (~self.in_support).nonzero().flatten()
        self.alpha = len(inside) / len(self.in_support)
        if len(inside):
            assert self.reference is not None
            self.reference.rows = self.trusted.take(inside)
        if len(outside):
            self.outside.rows = self.trusted.take(outside)

    def weighted_loss(self, step: Step) -> Tensor:
        """The weighted loss and the loss of the rows out of support, in proportion."""
        if self.alpha == 1:
            return super().weighted_loss(step)
        learner, drawn = step.learner, self.outside.draw()
        rows = learner.augmented(learner.share(drawn))
        losses = learner.forward(rows, len(drawn)).losses
        outside = learner.peers.own(losses, len(drawn)).sum() / len(drawn)
        if self.alpha == 0:
            return outside
        return self.alpha * super().weighted_loss(step) + (1 - self.alpha) * outside


@torch.no_grad()
def _features(learner: Learner, *rows: Rows) -> list[Tensor]:
    """Of unit length, on the CPU: [n, d]; 0 where no numbers are left, of which the loss tells."""
    parts = [
        [learner.evaluate(part).features.flatten(1) for part in in_order(some)] for some in rows
    ]
    if len(widths := {part.shape[1] for some in parts for part in some}) > 1:
        raise UserError(
            "method giw compares the features of rows, but the network's are of "
            f"{' and '.join(map(str, sorted(widths)))} numbers: give its last nn.Linear as many of "
            "each row"
        )
    whole = [torch.cat(some).float() for some in parts]
    return [torch.nn.functional.normalize(some).nan_to_num(0, 0, 0).cpu() for some in whole]


def rows_in_support(training: Tensor, trusted: Tensor) -> Tensor:
    """Which of ``trusted``: [m, d] lie where ``training``: [n, d] does: [m], bool.

    Half of the training rows, taken alternately, fit the SVM; the other half set the threshold.
    """
    from sklearn.svm import OneClassSVM

    fitted, others = training[::2].numpy(), training[1::2].numpy()
    scale = 1 / max(fitted.shape[1] * float(fitted.var()), 1e-12)
    svm = OneClassSVM(gamma=_NARROW * scale, nu=0.5).fit(fitted)
    threshold = torch.from_numpy(svm.score_samples(others)).quantile(_REFUSED)
    return torch.from_numpy(svm.score_samples(trusted.numpy())) >= threshold
