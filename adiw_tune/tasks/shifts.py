"""How the training rows come to differ from the rows met in use."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Shifted:
    """Which rows stay, as indices into the clean ones, and what labels they get."""

    kept: Tensor
    labels: Tensor


class Shift(Protocol):
    """A change of the joint distribution of the training rows."""

    def apply(self, labels: Tensor, classes: int, generator: torch.Generator) -> Shifted:
        """Shift clean ``labels``: [n], int64 in [0, classes)."""
        ...


@dataclass(frozen=True)
class NoShift:
    """Training rows as they are."""

    def apply(self, labels: Tensor, classes: int, generator: torch.Generator) -> Shifted:
        """Every row, unchanged."""
        return Shifted(torch.arange(len(labels)), labels)


@dataclass(frozen=True)
class SymmetricNoise:
    """With probability ``rate`` a label becomes any of the other classes, each as likely."""

    rate: float

    def apply(self, labels: Tensor, classes: int, generator: torch.Generator) -> Shifted:
        """Every row, some labels moved by 1 to classes - 1."""
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        offset = torch.randint(1, classes, (len(labels),), generator=generator)
        return Shifted(torch.arange(len(labels)), (labels + flipped * offset) % classes)


@dataclass(frozen=True)
class PairNoise:
    """With probability ``rate`` a label becomes the next class: the hardest kind near 0.5."""

    rate: float

    def apply(self, labels: Tensor, classes: int, generator: torch.Generator) -> Shifted:
        """Every row, some labels moved by 1."""
        flipped = torch.rand(len(labels), generator=generator) < self.rate
        return Shifted(torch.arange(len(labels)), (labels + flipped) % classes)


@dataclass(frozen=True)
class ClassPrior:
    """Step imbalance: the upper half of the classes keeps one row in ``ratio``.

    Source: Buda, Maki, Mazurowski, "A systematic study of the class imbalance problem in
    convolutional neural networks", 2018.
    """

    ratio: float

    def apply(self, labels: Tensor, classes: int, generator: torch.Generator) -> Shifted:
        """Fewer rows, labels unchanged; a class that had rows keeps at least one."""
        order = torch.randperm(len(labels), generator=generator)
        kept = []
        for label in range(classes):
            rows = order[labels[order] == label]
            minority = label >= (classes + 1) // 2
            kept.append(rows[: max(1, round(len(rows) / self.ratio))] if minority else rows)
        index = torch.cat(kept).sort().values
        return Shifted(index, labels[index])


def parse_shift(text: str) -> Shift:
    """The shift written as ``none``, ``symmetric:R``, ``pair:R`` or ``class-prior:RHO``.

    R is the rate of wrong labels, in [0, 1); RHO the ratio of class sizes, at least 1.
    """
    if text == "none":
        return NoShift()
    kind, _, number = text.partition(":")
    if kind not in ("symmetric", "pair", "class-prior"):
        raise UserError(
            f"unknown shift '{text}': write none, symmetric:R, pair:R or class-prior:RHO, "
            "for example pair:0.45"
        )
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"shift '{text}' needs a number after the colon, like {kind}:0.4") from None
    if kind == "class-prior":
        if not 1 <= value < float("inf"):
            raise UserError(f"class-prior ratio must be at least 1; got {number}")
        return ClassPrior(value)
    if not 0 <= value < 1:
        raise UserError(f"noise rate must lie in [0, 1); got {number} in '{text}'")
    return SymmetricNoise(value) if kind == "symmetric" else PairNoise(value)
