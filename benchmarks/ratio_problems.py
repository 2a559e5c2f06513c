"""Samples whose density ratio is known: what weights should be, to measure how far off they are.

Tests use them too. Each problem gives source, target and the ratio q/p at the source's rows, for
a seed and a number of rows. The error is that of the weights in units of that of w = 1.
"""

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional

CLASSES, DIMENSIONS = 10, 16
NOISE = 0.45  # share of wrong labels
Problem = tuple[Tensor, Tensor, Tensor]


def noisy_losses(seed: int, n: int = 256) -> Problem:
    """Losses of right and of wrong labels, log-normal both; the target has right ones only."""
    generator = torch.Generator().manual_seed(seed)
    wrong = torch.rand(n, generator=generator) < NOISE
    draw, target = torch.randn(2, n, generator=generator)
    right, other = Normal(-1.0, 1.0), Normal(1.5, 0.6)
    source = torch.where(wrong, 1.5 + 0.6 * draw, draw - 1)
    q, of_wrong = right.log_prob(source).exp(), other.log_prob(source).exp()
    return source.exp(), (target - 1).exp(), q / ((1 - NOISE) * q + NOISE * of_wrong)


def lower_losses(seed: int, n: int = 256) -> Problem:
    """Log-normal losses; the target's are lower and vary less."""
    draw, target = torch.randn(2, n, generator=torch.Generator().manual_seed(seed))
    p, q = Normal(0.0, 1.0), Normal(-0.3, 0.7)
    ratio = (q.log_prob(draw) - p.log_prob(draw)).exp()
    return draw.exp(), (0.7 * target - 0.3).exp(), ratio


def _features(seed: int, n: int, prior: Tensor, noise: Tensor) -> Problem:
    """Gaussian classes beside one-hot labels, scaled as the tool does.

    prior: [CLASSES], of the source; the target's is uniform.
    noise: [CLASSES, CLASSES], probabilities of the source's labels given the class.
    """
    means = torch.randn(CLASSES, DIMENSIONS, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    of_source = torch.multinomial(prior, n, replacement=True, generator=generator)
    of_target = torch.randint(CLASSES, (n,), generator=generator)
    x, v = (
        means[y] + torch.randn(n, DIMENSIONS, generator=generator) for y in (of_source, of_target)
    )
    labels = torch.multinomial(noise[of_source], 1, generator=generator).squeeze(1)
    likelihood = (-torch.cdist(x, means).square() / 2).softmax(dim=1)
    p = likelihood @ (prior.unsqueeze(1) * noise)
    ratio = likelihood.gather(1, labels.unsqueeze(1)) / CLASSES / p.gather(1, labels.unsqueeze(1))
    spread = (x - x.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    source, target = (
        torch.cat([rows / spread, functional.one_hot(y, CLASSES)], dim=1)
        for rows, y in ((x, labels), (v, of_target))
    )
    return source, target, ratio.squeeze(1)


UNIFORM = torch.full((CLASSES,), 1 / CLASSES)
RIGHT = torch.eye(CLASSES)


def symmetric_features(seed: int, n: int = 256) -> Problem:
    """Labels of the source are drawn anew from all classes for a share of the rows."""
    return _features(seed, n, UNIFORM, (1 - NOISE) * RIGHT + NOISE / CLASSES)


def pair_features(seed: int, n: int = 256) -> Problem:
    """Labels of the source are those of the next class for a share of the rows."""
    return _features(seed, n, UNIFORM, (1 - NOISE) * RIGHT + NOISE * RIGHT.roll(1, dims=1))


def prior_features(seed: int, n: int = 256) -> Problem:
    """The rarest class of the source is a hundredth as frequent as the most frequent."""
    prior = torch.logspace(0, -2, CLASSES)
    return _features(seed, n, prior / prior.sum(), RIGHT)


LOSSES = {"label noise": noisy_losses, "lower losses": lower_losses}
FEATURES = {
    "symmetric noise": symmetric_features,
    "pair noise": pair_features,
    "class prior": prior_features,
}


def error(w: Tensor, ratio: Tensor) -> float:
    """mean((w - ratio)²) / mean((1 - ratio)²): 0 is the ratio itself, 1 as far off as w = 1."""
    return float((w - ratio).square().mean() / (1 - ratio).square().mean())
