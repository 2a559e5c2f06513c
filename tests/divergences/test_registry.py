"""Making a divergence by name."""

import pytest
import torch

from adiw_tune.divergences import (
    DEFAULT_BANDWIDTHS,
    DIVERGENCES,
    Wasserstein,
    has_bandwidth,
    make_divergence,
)
from adiw_tune.errors import UserError
from adiw_tune.training.config import REPRESENTATIONS

from .problems import features, losses, random_weights


@pytest.mark.parametrize("name", DIVERGENCES)
def test_name_makes_the_divergence_it_is_listed_under(name: str) -> None:
    assert type(make_divergence(name)) is DIVERGENCES[name]


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if has_bandwidth(name)])
def test_bandwidth_reaches_a_divergence_with_a_kernel(name: str) -> None:
    assert make_divergence(name, 0.25) == DIVERGENCES[name](bandwidth=0.25)
    assert make_divergence(name) == DIVERGENCES[name](bandwidth=None)


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if has_bandwidth(name)])
@pytest.mark.parametrize("representation", DEFAULT_BANDWIDTHS)
def test_the_default_bandwidth_is_that_of_what_weights_are_estimated_on(
    name: str, representation: str
) -> None:
    samples = losses(0, 20, 15) if representation == "loss" else features(0, 20, 15, 4)
    one = torch.ones(20, dtype=torch.float64)
    w, other = random_weights(0, 20, 2)
    default = make_divergence(name).prepare(*samples)
    explicit = make_divergence(name, DEFAULT_BANDWIDTHS[representation]).prepare(*samples)
    for at in (one, w, other):
        assert all(map(torch.equal, default.at(at), explicit.at(at)))
    narrow = make_divergence(name, 0.5).prepare(*samples)
    assert not torch.equal(narrow.at(w).gradient, default.at(w).gradient)


def test_losses_keep_the_bandwidth_that_they_had() -> None:
    assert DEFAULT_BANDWIDTHS["loss"] == 1.0
    assert set(DEFAULT_BANDWIDTHS) == set(REPRESENTATIONS)


def test_wasserstein_energy_and_files_have_no_bandwidth() -> None:
    assert [name for name in DIVERGENCES if not has_bandwidth(name)] == ["wasserstein", "energy"]
    assert not has_bandwidth("own.py")


def test_unknown_name_is_refused_with_the_names_to_choose_from() -> None:
    with pytest.raises(UserError, match=r"unknown divergence 'mdd'.*mmd, kl, squared, .*file.py"):
        make_divergence("mdd")


def test_bandwidth_is_refused_where_there_is_no_kernel() -> None:
    with pytest.raises(UserError, match="'wasserstein' has no kernel"):
        make_divergence("wasserstein", 1.0)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, float("nan")])
def test_bandwidth_must_be_above_zero(bandwidth: float) -> None:
    with pytest.raises(UserError, match="bandwidth must be above 0; got"):
        make_divergence("mmd", bandwidth)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_must_lie_in_its_range(smoothing: float) -> None:
    with pytest.raises(UserError, match=r"smoothing must lie in \[0, 1\); got"):
        Wasserstein(smoothing)
