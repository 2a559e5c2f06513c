"""The methods compared: how a mini-batch gets its weights."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from adiw_tune.divergences import make_divergence
from adiw_tune.divergences.mmd import MMD
from adiw_tune.tasks import Network, Split
from adiw_tune.training.config import TrialConfig
from adiw_tune.weights import ImportanceWeighter
from adiw_tune.weights.exact import solve_mmd_exactly


class Weigher(Protocol):
    """Weights of a mini-batch from the representations of its rows and of reference rows."""

    def __call__(self, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """source: [n] or [n, d], target: [m] or [m, d], index: [n] -> weights [n]."""
        ...


class ExactWeigher(nn.Module):
    """DIW: the MMD problem solved to convergence in each mini-batch, nothing remembered."""

    def __init__(self, config: TrialConfig) -> None:
        super().__init__()
        self.divergence = MMD(config.bandwidth or 1.0)
        self.feasible = config.solver().feasible

    @torch.no_grad()
    def forward(self, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        """Exact weights: [n]. ``index`` is not used."""
        return solve_mmd_exactly(self.divergence.prepare(source, target), self.feasible)


def make_weigher(config: TrialConfig, train_size: int) -> nn.Module | None:
    """How ``config.method`` weighs; None for methods that weigh all rows alike."""
    if config.method == "diw":
        return ExactWeigher(config)
    if config.method == "adiw":
        divergence = make_divergence(config.divergence, config.bandwidth)
        return ImportanceWeighter(train_size, divergence, config.solver(), config.retention)
    return None


@dataclass(frozen=True)
class Forward:
    """What a network gave for some rows: features [n, ...], logits [n, classes], losses [n]."""

    features: Tensor
    logits: Tensor
    losses: Tensor
    labels: Tensor

    @classmethod
    def of(cls, network: Network, rows: Split) -> "Forward":
        """One forward pass, with the cross-entropy of each row."""
        features = network.features(rows.inputs)
        logits = network.head(features)
        losses = functional.cross_entropy(logits, rows.labels, reduction="none")
        return cls(features, logits, losses, rows.labels)


def represent(kind: str, source: Forward, target: Forward) -> tuple[Tensor, Tensor]:
    """What weights are estimated on: losses [n] and [m], or features with labels [n, d], [m, d].

    Features alone would match p(x) and could not tell a wrong label from a right one. So the
    one-hot label stands beside them, and the features are divided by the spread of the source's:
    two rows of one label are then about as far apart as two labels are.
    """
    if kind == "loss":
        return source.losses.detach(), target.losses.detach()
    z = source.features.detach().flatten(1)
    spread = (z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt().clamp_min(1e-12)
    return _with_labels(source, spread), _with_labels(target, spread)


def _with_labels(rows: Forward, spread: Tensor) -> Tensor:
    one_hot = functional.one_hot(rows.labels, rows.logits.shape[1]).to(rows.features)
    return torch.cat([rows.features.detach().flatten(1) / spread, one_hot], dim=1)


def training_rows(config: TrialConfig, train: Split, reference: Split) -> Split:
    """The rows that the network is fitted to."""
    return reference if config.method == "clean-only" else train
