"""Divergence, solver and memory as one object in somebody's own loop."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from adiw_tune import DIVERGENCES, FeasibleSet, ImportanceWeighter, UserError, WeightSolver
from adiw_tune.divergences import MMD, Local, check_divergence
from adiw_tune.divergences.mmd import MMDObjective


def batch(seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Losses of 16 of 40 training samples, of 12 reference rows, and which samples they are."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(16, generator=generator).exp().to(dtype),
        torch.randn(12, generator=generator).mul(0.5).exp().to(dtype),
        torch.randperm(40, generator=generator)[:16],
    )


@dataclass(frozen=True)
class Nosy:
    """A divergence as one should not write it: with one wait for the host."""

    wait: Callable[[Tensor], object]

    def prepare(self, source: Tensor, target: Tensor) -> MMDObjective:
        self.wait(source)
        return MMD().prepare(source, target)


@dataclass(frozen=True)
class NearTargetMean:
    """A user's own: f(w) = ‖w - ρ‖²/2n, ρ_i falling with the distance from the target's mean."""

    def prepare(self, source: Tensor, target: Tensor) -> "NearTargetMeanObjective":
        nearness = torch.exp(-(source - target.mean()).abs())
        return NearTargetMeanObjective(nearness / nearness.mean())


@dataclass(frozen=True)
class NearTargetMeanObjective:
    wanted: Tensor

    def at(self, w: Tensor) -> Local:
        away = w - self.wanted
        return Local(away @ away / (2 * len(w)), away / len(w), w.new_tensor(1 / len(w)))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_three_lines_in_a_plain_loop_train_a_model(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 3, generator=generator)
    truth = inputs @ torch.tensor([1.0, -2.0, 0.5])
    noisy = truth + 8 * (torch.rand(200, generator=generator) < 0.3)  # 3 in 10 labels are wrong
    clean = torch.randn(60, 3, generator=generator)
    clean_truth = clean @ torch.tensor([1.0, -2.0, 0.5])
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.fill_(0.1), model.bias.fill_(0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    weighter = ImportanceWeighter(200, name)
    for _ in range(24):
        for index in torch.randperm(200, generator=generator).split(50):
            losses = (model(inputs[index]).squeeze(1) - noisy[index]).square()
            reference_losses = (model(clean).squeeze(1) - clean_truth).square()
            w = weighter(losses, reference_losses, index)
            optimizer.zero_grad()
            (w * losses).mean().backward()
            optimizer.step()

    error = (model(inputs).squeeze(1) - truth).square().mean()
    plain = 0.3 * 0.7 * 64  # about what constant weights end at is (0.3 * 8)² = 5.8
    assert error < 1.5 < plain


def test_weights_have_mean_one_and_no_gradient() -> None:
    source, target, index = batch()
    w = ImportanceWeighter(40)(source.requires_grad_(), target, index)
    assert not w.requires_grad
    assert float(w.mean()) == pytest.approx(1, abs=1e-5)
    assert float(w.std()) > 0.05


def test_solver_and_retention_reach_the_weights() -> None:
    source, target, index = batch()
    solver = WeightSolver(50, 1.5, FeasibleSet(cap=1.25))
    assert float(ImportanceWeighter(40, solver=solver)(source, target, index).max()) == 1.25
    with pytest.raises(UserError, match="retention"):
        ImportanceWeighter(40, retention=2.0)
    with pytest.raises(UserError, match="unknown divergence 'nope'"):
        ImportanceWeighter(40, "nope")


def test_memory_goes_on_where_the_last_visit_ended() -> None:
    source, target, index = batch()
    remembering = ImportanceWeighter(40, solver=WeightSolver(3), retention=1.0)
    forgetting = ImportanceWeighter(40, solver=WeightSolver(3), retention=0.0)
    for _ in range(2):
        with_memory = remembering(source, target, index)
        without = forgetting(source, target, index)
    once = ImportanceWeighter(40, solver=WeightSolver(3))(source, target, index)
    six = ImportanceWeighter(40, solver=WeightSolver(6))(source, target, index)
    torch.testing.assert_close(without, once)
    torch.testing.assert_close(with_memory, six)
    assert not torch.allclose(six, once, atol=1e-3)


def test_samples_outside_the_batch_keep_their_weights() -> None:
    source, target, index = batch()
    weighter = ImportanceWeighter(40)
    w = weighter(source, target, index)
    others = torch.ones(40, dtype=torch.bool)
    others[index] = False
    assert torch.equal(weighter.memory.weights[index], w)
    assert torch.equal(weighter.memory.weights[others], torch.ones(24))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_state_dict_carries_the_weighter_on(name: str) -> None:
    weighter, other = ImportanceWeighter(40, name), ImportanceWeighter(40, name)
    for seed in range(5):
        weighter(*batch(seed))
    other.load_state_dict(weighter.state_dict())
    assert torch.equal(weighter(*batch(9)), other(*batch(9)))


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_losses_are_weighed_in_single_precision(
    name: str, dtype: torch.dtype
) -> None:
    source, target, index = batch(dtype=dtype)
    w = ImportanceWeighter(40, name)(source, target, index)
    exact = ImportanceWeighter(40, name)(source.float(), target.float(), index)
    assert w.dtype == dtype
    assert torch.equal(w, exact.to(dtype))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_double_precision_losses_give_double_precision_weights(name: str) -> None:
    w = ImportanceWeighter(40, name)(*batch(dtype=torch.float64))
    assert w.dtype == torch.float64
    assert float(w.mean()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
@pytest.mark.parametrize("role", [0, 1], ids=["training", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_mini_batch_with_a_loss_that_is_no_number_is_counted_and_has_weights_of_one(
    name: str, on_features: bool, role: int, value: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    width = (4,) if on_features else ()
    # More than those that give the scale, among which the bad one need not be.
    samples = [torch.randn(n, *width, generator=generator) for n in (70, 40)]
    index = torch.arange(70)
    weighter = ImportanceWeighter(80, name)
    for count, row in enumerate((0, 5, 33), start=1):
        weighter(*samples, index)
        bad = [sample.clone() for sample in samples]
        bad[role][row] = value
        assert torch.equal(weighter(*bad, index), torch.ones(70))
        assert torch.equal(weighter.memory.weights, torch.ones(80))  # as if not seen yet
        assert int(weighter.unweighed) == count
    weighter(*samples, index)
    assert int(weighter.unweighed) == count


def test_losses_that_are_merely_huge_are_weighed() -> None:
    source, target, index = batch()
    source[5] = 1e38
    weighter = ImportanceWeighter(40)
    assert weighter(source, target, index)[5] < 0.9
    assert int(weighter.unweighed) == 0


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_remembered_weight_that_is_no_number_is_forgotten(name: str) -> None:
    # Of a state that was saved when it could be.
    weighter = ImportanceWeighter(40, name)
    source, target, index = batch()
    state = weighter.state_dict()
    state["memory.weights"][index[2]] = float("nan")
    weighter.load_state_dict(state)
    assert torch.equal(weighter(source, target, index), torch.ones(16))
    assert int(weighter.unweighed) == 1
    assert torch.equal(
        weighter(source, target, index), ImportanceWeighter(40, name)(source, target, index)
    )


def test_a_divergence_that_gives_no_numbers_leaves_plain_training() -> None:
    weighter = ImportanceWeighter(40, Nosy(lambda z: z.fill_(torch.nan)))
    assert torch.equal(weighter(*batch()), torch.ones(16))
    assert int(weighter.unweighed) == 1


def test_a_state_of_a_version_without_a_count_is_loaded() -> None:
    weighter = ImportanceWeighter(40)
    assert weighter.state_dict().keys() == {"memory.weights"}
    weighter.load_state_dict({"memory.weights": torch.full((40,), 2.0)})
    assert torch.equal(weighter.memory.weights, torch.full((40,), 2.0))


def test_a_users_own_divergence_is_as_good_as_a_listed_one() -> None:
    source, target, index = batch()
    w = ImportanceWeighter(40, NearTargetMean())(source, target, index)
    nearest = (source - target.mean()).abs().argmin()
    assert float(w.mean()) == pytest.approx(1, abs=1e-5)
    assert w.argmax() == nearest
    assert w[nearest] > 1.2


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("slack", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weighing_never_makes_the_host_wait(name: str, slack: float, dtype: torch.dtype) -> None:
    # On the meta device there are no values: asking for one, or copying one to the host, raises.
    weighter = ImportanceWeighter(40, name, WeightSolver(feasible=FeasibleSet(slack=slack)))
    w = weighter.to("meta")(*(z.to("meta") for z in batch(dtype=dtype)))
    assert (w.device.type, w.dtype, w.shape) == ("meta", dtype, (16,))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_weighing_by_features_never_makes_the_host_wait(name: str) -> None:
    weighter = ImportanceWeighter(40, name).to("meta")
    rows = torch.randn(16, 4), torch.randn(90, 4), torch.arange(16)
    assert weighter(*(z.to("meta") for z in rows)).device.type == "meta"


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
def test_autocast_around_the_weighter_does_not_round_it(name: str, on_features: bool) -> None:
    source, target, index = batch()
    if on_features:
        source, target = torch.randn(16, 4), torch.randn(12, 4)
    exact = ImportanceWeighter(40, name)(source, target, index)
    with torch.autocast("cpu", torch.bfloat16):
        w = ImportanceWeighter(40, name)(source, target, index)
    assert torch.equal(w, exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("on_features", [False, True], ids=["losses", "features"])
def test_weighing_on_cuda_never_synchronises(name: str, on_features: bool) -> None:
    weighter = ImportanceWeighter(40, name).cuda()
    source, target, index = (z.cuda() for z in batch())
    if on_features:
        source, target = torch.randn(16, 4).cuda(), torch.randn(12, 4).cuda()
    on_host = ImportanceWeighter(40, name)(source.cpu(), target.cpu(), index.cpu())
    weighter(source, target, index)  # the first call loads libraries
    weighter.memory.weights.fill_(1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        w = weighter(source, target, index)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(w.cpu(), on_host, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "wait",
    [
        lambda z: z.sum().item(),
        lambda z: float(z.max()),
        lambda z: 1 if z.sum() > 0 else 0,
        lambda z: z[z > 1],
        lambda z: z.nonzero(),
        lambda z: torch.equal(z, z + 1),
        lambda z: z.cpu(),
        lambda z: z.tolist(),
        lambda z: z.numpy(),
        lambda z: torch.unique(z),
        lambda z: z + torch.ones(len(z)),
    ],
    ids=str.split("item float if mask nonzero equal cpu tolist numpy unique mix"),
)
def test_a_divergence_that_waits_or_mixes_devices_is_found_out(
    wait: Callable[[Tensor], object],
) -> None:
    weighter = ImportanceWeighter(40, Nosy(wait)).to("meta")
    with pytest.raises((RuntimeError, TypeError)):
        weighter(*(z.to("meta") for z in batch()))
    assert any("on a GPU it would wait" in line for line in check_divergence(Nosy(wait)))
