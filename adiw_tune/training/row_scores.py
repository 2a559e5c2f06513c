"""What training says of each training row: its weight, and how well its label fits."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from adiw_tune.tasks import Splits
from adiw_tune.tasks.targets import columns
from adiw_tune.training.methods import Step
from adiw_tune.training.peers import Peers

_SHARE = 0.5  # of the epochs, the last ones, over which means are taken


@dataclass(frozen=True)
class ScoredRows:
    """Of each training row of one run, on the CPU.

    Args:
        number: [n], int64, of the row in the task's data.
        label: [n, ...], what the row was trained with.
        weight: [n], the mean weight over the last half of the epochs; 1 where the method has none.
        fit: [n], the mean over these epochs of how well the label fits: of classes and binary
            targets the probability that the network gave the row's own label, averaged over the
            labels of a row (cleanlab's self-confidence); of other targets the negative loss.
        predicted: what the network last took the row for: [n], the class; [n, k] bytes of binary
            targets, 0 or 1; [n, k] values of real ones; None of a task's own targets.
        confidence: [n], the probability that it gave this, averaged over the labels of a row; None
            where there is none.
        names: of the classes, where labels came as names.
    """

    number: Tensor
    label: Tensor
    weight: Tensor
    fit: Tensor
    predicted: Tensor | None
    confidence: Tensor | None
    names: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Of tensors and names, as a file holds them."""
        return dict(vars(self))

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from what :meth:`as_dict` returned."""
        rows = cls(**saved)
        parts = (rows.label, rows.weight, rows.fit, rows.predicted, rows.confidence)
        if any(part is not None and len(part) != len(rows.number) for part in parts):
            raise ValueError("its parts are of different lengths")
        return rows


class RowScores(nn.Module):
    """Sums up what steps say of the training rows, in the last half of the epochs.

    Probabilities are those of the passes that train, each before the update with the row itself: a
    wrong label has a small one until the network memorises it. Averaged over epochs they rank wrong
    labels better than the last network does, and cost no pass of their own. This is a module, so
    that a run that is stopped goes on with the sums.

    Source: Swayamdipta et al., "Dataset cartography: mapping and diagnosing datasets with training
    dynamics", EMNLP 2020, where the mean probability of the label is called confidence.

    Args:
        splits: the run's, on its device.
        epochs: of the run.
    """

    sums: Tensor
    predicted: Tensor
    confidence: Tensor

    def __init__(self, splits: Splits, epochs: int) -> None:
        super().__init__()
        self._splits = splits
        self._from = int(_SHARE * epochs)
        labels = splits.train.labels
        # Of each row: how often it was met, its weights, how well its label fit.
        self.register_buffer("sums", torch.zeros(3, len(labels), device=labels.device))
        width = columns(labels).shape[1:] if splits.targets in ("binary", "real") else ()
        self.register_buffer("predicted", torch.zeros(len(labels), *width, device=labels.device))
        self.register_buffer("confidence", torch.zeros(len(labels), device=labels.device))

    @torch.no_grad()
    def update(self, step: Step, epoch: int) -> None:
        """Take in a step of ``epoch``, 0 for the first; of several peers this one's share of it."""
        if epoch < self._from:
            return
        peers, n, forward = step.learner.peers, len(step.index), step.forward
        parts = (step.index[peers.share(n)], forward.logits, forward.labels, forward.losses)
        index, logits, labels, losses = (peers.own(part, n) for part in parts)
        weights = torch.ones_like(losses)
        if step.weights is not None:
            weights = peers.own(step.share(step.weights), n).to(losses.dtype)
        fit, predicted, confidence = _read(self._splits.targets, logits, labels, losses)
        self.sums[:, index] += torch.stack([torch.ones_like(weights), weights, fit])
        self.predicted[index], self.confidence[index] = predicted, confidence

    def begin_epoch(self) -> None:
        """Forget what the network took rows for before: another peer may meet them now."""
        self.predicted.zero_()
        self.confidence.zero_()

    def state(self, peers: Peers) -> dict[str, Tensor]:
        """The sums of all peers, for any number of them to go on from; call it of each."""
        state: dict[str, Tensor] = self.state_dict()
        return dict(zip(state, peers.summed(state.values()), strict=True))

    def load(self, state: dict[str, Tensor], peers: Peers) -> None:
        """Go on from ``state``: the first peer has what was summed up, the others begin anew."""
        self.load_state_dict({n: v * (peers.rank == 0) for n, v in state.items()})

    def scored(self, peers: Peers) -> ScoredRows:
        """What all peers have together; call it of each."""
        parts = [self.sums, self.predicted, self.confidence]
        sums, predicted, confidence = (part.cpu() for part in peers.summed(parts))
        kind, numbers = self._splits.targets, self._splits.numbers
        weight, fit = sums[1:] / sums[0].clamp_min(1)
        return ScoredRows(
            number=torch.arange(len(weight)) if numbers is None else numbers,
            label=_readable(self._splits.train.labels.cpu()),
            weight=weight,
            fit=fit,
            predicted=None if kind == "own" else predicted.to(_PREDICTED[kind]),
            confidence=confidence if kind in _WITH_CONFIDENCE else None,
            names=self._splits.names,
        )


def _readable(labels: Tensor) -> Tensor:
    """NumPy has no bfloat16."""
    return labels.float() if labels.dtype == torch.bfloat16 else labels


_PREDICTED = {"classes": torch.int64, "binary": torch.uint8, "real": torch.float32}
_WITH_CONFIDENCE = ("classes", "binary")


def _read(
    kind: str, outputs: Tensor, labels: Tensor, losses: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit [n], prediction [n] or [n, k], and its probability [n], as :class:`ScoredRows`."""
    if kind == "classes":
        probabilities = outputs.softmax(dim=1)
        confidence, predicted = probabilities.max(dim=1)
        fit = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
        return fit, predicted.float(), confidence
    if kind == "binary":
        of_one, labels = columns(outputs).sigmoid(), columns(labels)
        fit = (labels * of_one + (1 - labels) * (1 - of_one)).mean(dim=1)
        predicted = (of_one > 0.5).float()
        return fit, predicted, torch.maximum(of_one, 1 - of_one).mean(dim=1)
    predicted = columns(outputs) if kind == "real" else torch.zeros_like(losses)
    return -losses, predicted, torch.zeros_like(losses)
