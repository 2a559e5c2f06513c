"""Each method's weights against what its paper defines, computed in another way."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from adiw_tune.divergences import MMD
from adiw_tune.tasks import Split
from adiw_tune.training import TrainingRun
from adiw_tune.training.methods import Method
from adiw_tune.training.methods.diw import DEFAULT_RIDGE, published_weights
from adiw_tune.training.methods.static import Static
from adiw_tune.weights import FeasibleSet, WeightSolver
from adiw_tune.weights.exact import solve_mmd_exactly

from . import small
from .conftest import MakeRun
from .test_learning import NOISY, unflipped

Values = dict[str, Tensor]


def by_a_virtual_step(run: TrainingRun, rows: Split, reference: Split, rate: float) -> Tensor:
    """Ren et al.'s algorithm as they write it: a step with ε at 0, and the gradient by ε."""
    parameters = dict(run.network.named_parameters())
    before = {key: value.clone() for key, value in run.network.state_dict().items()}

    def losses(values: Values, of: Split) -> Tensor:
        logits = functional_call(run.network, values, (of.inputs,))
        return functional.cross_entropy(logits, of.labels, reduction="none")

    epsilon = torch.zeros(len(rows), requires_grad=True)
    weighted = (epsilon * losses(parameters, rows)).sum()
    gradients = torch.autograd.grad(weighted, list(parameters.values()), create_graph=True)
    moved = {
        name: value - rate * gradient
        for (name, value), gradient in zip(parameters.items(), gradients, strict=True)
    }
    (by_epsilon,) = torch.autograd.grad(losses(moved, reference).mean(), epsilon)
    run.network.load_state_dict(before)  # the passes moved the running statistics
    helpful = (-by_epsilon).clamp_min(0)
    return len(rows) * helpful / helpful.sum()


@pytest.mark.parametrize("network", ["plain", "batch-norm"])
@pytest.mark.parametrize("rate", [1e-3, 1.0])
def test_l2rw_weighs_by_a_virtual_step(small_run: MakeRun, network: str, rate: float) -> None:
    run = small_run(method="l2rw", network=network, warmup_epochs=1)
    run.run_epoch()
    run.network.train()
    step = small.first_step(run)
    before = {key: value.clone() for key, value in run.network.state_dict().items()}
    w = run.method.weigh(step)
    assert w is not None
    assert not w.requires_grad
    for key, value in run.network.state_dict().items():
        assert torch.equal(value, before[key])
    expected = by_a_virtual_step(run, step.rows, run.splits.reference, rate)
    assert torch.allclose(w, expected, rtol=1e-3, atol=1e-4)
    assert float(w.mean()) == pytest.approx(1)
    assert int((w == 0).sum()) >= 2  # some rows are harmful, so the test sees the rectifier


def test_l2rw_leaves_frozen_parameters_out(small_run: MakeRun) -> None:
    run = small_run(method="l2rw")
    for frozen in run.network.features.parameters():
        frozen.requires_grad_(False)
    step = small.first_step(run)
    w = run.method.weigh(step)
    assert w is not None
    assert torch.allclose(w, by_products_of_gradients(run, step.rows), rtol=1e-3, atol=1e-4)


def test_l2rw_passes_over_parameters_that_the_loss_does_not_reach(small_run: MakeRun) -> None:
    run = small_run(method="l2rw")
    run.network.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
    w = run.method.weigh(small.first_step(run))
    assert w is not None
    assert float(w.mean()) == pytest.approx(1)


def by_products_of_gradients(run: TrainingRun, rows: Split) -> Tensor:
    """∇L_ref · ∇ℓ_i, one row's gradient after the other."""
    trained = [p for p in run.network.parameters() if p.requires_grad]

    def gradient(of: Split) -> Tensor:
        loss = functional.cross_entropy(run.network(of.inputs), of.labels)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, trained)])

    wanted = gradient(run.splits.reference)
    single = [rows.take(torch.tensor([i])) for i in range(len(rows))]
    helpful = torch.stack([gradient(one) @ wanted for one in single]).clamp_min(0)
    return len(rows) * helpful / helpful.sum()


def test_l2rw_gives_no_weight_where_no_row_helps(small_run: MakeRun) -> None:
    run = small_run(method="l2rw", reference_size=1)
    run.network.requires_grad_(False)
    run.network.head.bias.requires_grad_(True)
    reference = run.splits.reference
    # The one reference row under its likeliest wrong label: both pull the bias opposite ways.
    logits = run.network(reference.inputs).scatter(1, reference.labels.unsqueeze(1), -torch.inf)
    harmful = reference.relabelled(logits.argmax(dim=1))
    step = small.first_step(run)
    w = run.method.weigh(replace(step, rows=harmful, forward=run._learner.forward(harmful)))
    assert torch.equal(w, torch.zeros(1))
    loss = run.method.loss(replace(step, rows=harmful, forward=run._learner.forward(harmful)))
    assert loss.item() == 0


def as_published(z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The published DIW's ``get_kernel_width`` and ``kmm``, transcribed, at cvxopt's defaults.

    With the quantile as γ, the kernel of losses near 1 is so nearly constant that weights which
    differ by units give objectives that agree to 7 digits, where cvxopt stops: the weights are
    the published ones only if the problem is posed in the published units.
    """
    from cvxopt import matrix, solvers

    n, m = len(z), len(v)
    between = [math.sqrt((a - b) ** 2) for a, b in itertools.combinations(z.tolist(), 2)]
    width = np.quantile(np.array(between), 0.01)
    column, other = z.reshape(-1, 1), v.reshape(-1, 1)
    kernel = rbf_kernel(column, gamma=width) + 1e-5 * np.eye(n)
    kappa = rbf_kernel(column, other, gamma=width).sum(axis=1) * n / m
    epsilon = (math.sqrt(n) - 1) / math.sqrt(n)
    bounds = matrix(np.r_[n * (1 + epsilon), n * (epsilon - 1), np.full(n, 50.0), np.zeros(n)])
    sides = matrix(np.r_[np.ones((1, n)), -np.ones((1, n)), np.eye(n), -np.eye(n)])
    solution = solvers.qp(
        matrix(kernel), matrix(-kappa), sides, bounds, options={"show_progress": False}
    )
    return np.array(solution["x"]).ravel()


def some_losses(n: int, m: int, scale: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    source = torch.randn(n, generator=generator, dtype=torch.float64).exp()
    target = torch.randn(m, generator=generator, dtype=torch.float64).mul(0.5).exp()
    return scale * source, scale * target


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 20.0])
@pytest.mark.parametrize(("n", "m"), [(40, 30), (64, 100), (7, 5), (256, 256)])
def test_diw_as_published_has_the_published_weights(n: int, m: int, scale: float) -> None:
    source, target = some_losses(n, m, scale)
    expected = as_published(source.numpy(), target.numpy())
    w = published_weights(source, target).numpy()
    assert w == pytest.approx(expected, abs=2e-7)
    assert np.abs(expected - 1).max() > 0.01
    assert w.min() >= 0
    assert w.max() <= 50
    assert abs(w.mean() - 1) <= 1 - 1 / math.sqrt(n) + 1e-9


def test_diw_as_published_sums_the_weighted_losses(small_run: MakeRun) -> None:
    run = small_run(method="diw-published")
    step = small.first_step(run)
    w = published_weights(
        run._learner.evaluate(step.rows).losses, run._learner.evaluate(run.splits.reference).losses
    )
    losses = step.forward.losses.detach()
    assert run.method.loss(step).item() == pytest.approx(float((w * losses).sum()))
    assert run.method.warm_up_loss(step).item() == pytest.approx(float(losses.sum()))


@pytest.mark.parametrize("n", [1, 2])
def test_diw_as_published_takes_few_rows(n: int) -> None:
    w = published_weights(torch.ones(n), torch.ones(3))
    assert w.shape == (n,)
    assert torch.isfinite(w).all()


@pytest.mark.parametrize("values", [{}, {"divergence": "auto"}, {"representation": "feature"}])
def test_random_deals_out_the_weights_of_adiw(small_run: MakeRun, values: dict[str, Any]) -> None:
    adiw, random = (small_run(method=method, **values) for method in ("adiw", "random"))
    random.network.load_state_dict(adiw.network.state_dict())
    for _ in range(3):  # with what both remember, too
        w, dealt = (run.method.weigh(small.first_step(run)) for run in (adiw, random))
        assert w is not None
        assert dealt is not None
        assert torch.equal(w.sort().values, dealt.sort().values)
        assert not torch.equal(w, dealt)


def test_random_weights_tell_nothing() -> None:
    run = TrainingRun(replace(NOISY, method="random"))
    for _ in range(4):
        run.run_epoch()
    right = unflipped(run)
    dealt = torch.zeros(len(right))
    run.network.train()
    for index in torch.arange(len(right)).split(128):
        w = run.method.weigh(step_on(run, index))
        assert w is not None
        dealt[index] = w
    # Mean 1 with a spread near 1 over 1,000 rows: 0.2 is three times what chance leaves.
    assert abs(float(dealt[right].mean() - dealt[~right].mean())) < 0.2
    assert float(dealt.std()) > 0.5


def step_on(run: TrainingRun, index: Tensor) -> Any:
    step = small.first_step(run, size=1)
    rows = small.in_memory(run.method.rows).take(index)
    return replace(step, rows=rows, index=index, forward=run._learner.forward(rows))


def test_static_weights_stay_as_the_warm_up_left_them_and_tell_wrong_labels() -> None:
    config = replace(NOISY, method="static", warmup_epochs=3, epochs=5)
    run = TrainingRun(config)
    assert isinstance(run.method, Static)
    for _ in range(3):
        run.run_epoch()
        assert torch.equal(run.method.weights, torch.ones(1000))
    run.run_epoch()
    weights = run.method.weights.clone()
    right = unflipped(run)
    # Measured: 1.6 and 0.4.
    assert float(weights[right].mean()) > 1.4
    assert float(weights[~right].mean()) < 0.6
    run.run_epoch()
    assert torch.equal(run.method.weights, weights)
    index = torch.tensor([5, 3, 900])
    assert torch.equal(run.method.weigh(step_on(run, index)), weights[index])


@pytest.mark.parametrize("representation", ["loss", "feature"])
def test_static_weights_have_mean_one_in_each_group(
    small_run: MakeRun, representation: str
) -> None:
    run = small_run(method="static", representation=representation)
    run.method.begin(run._learner)
    weights = run.method.weigh(step_on(run, torch.arange(123)))
    assert weights is not None
    assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
    assert float(weights.std()) > 0.1


@pytest.mark.parametrize("steps", [1, 5])
def test_static_takes_as_many_steps_as_asked(small_run: MakeRun, steps: int) -> None:
    run = small_run(method="static", steps=steps, batch_size=1000)
    run.method.begin(run._learner)
    weights = run.method.weigh(step_on(run, torch.arange(123)))
    rows = small.in_memory(run.splits.train)
    source, target = (run._learner.evaluate(some).losses for some in (rows, run.splits.reference))
    one = torch.ones(len(rows))
    expected = WeightSolver(steps).solve(MMD().prepare(source, target), one)
    assert weights is not None
    torch.testing.assert_close(weights, expected[:123], rtol=1e-4, atol=1e-4)


UNWEIGHTED: dict[str, Callable[[TrainingRun], Split]] = {
    "erm": lambda run: small.in_memory(run.splits.train),
    "clean-only": lambda run: run.splits.reference,
}


@pytest.mark.parametrize("method", UNWEIGHTED)
def test_all_weights_one_is_the_mean_loss(small_run: MakeRun, method: str) -> None:
    run = small_run(method=method)
    step = small.first_step(run)
    rows = UNWEIGHTED[method](run).take(torch.arange(24))
    expected = functional.cross_entropy(run.network(rows.inputs), rows.labels)
    assert run.method.weigh(step) is None
    assert run.method.loss(step).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("method", ["adiw", "diw", "l2rw", "static", "random"])
def test_the_loss_is_the_weighted_mean(small_run: MakeRun, method: str) -> None:
    weighing, descending = (small_run(method=method) for _ in range(2))
    for run in (weighing, descending):
        run.network.load_state_dict(weighing.network.state_dict())
        run.method.begin(run._learner)
    torch.manual_seed(3)
    step = small.first_step(weighing)
    w = weighing.method.weigh(step)
    assert w is not None
    torch.manual_seed(3)
    loss = descending.method.loss(small.first_step(descending))
    expected = sum((a * b).item() for a, b in zip(w, step.forward.losses, strict=True)) / len(w)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert not torch.allclose(w, torch.ones_like(w), atol=0.1)


def test_diw_reaches_the_exact_optimum_that_many_steps_approach(small_run: MakeRun) -> None:
    diw = small_run(method="diw", ridge=0.0)
    adiw = small_run(method="adiw", steps=3000, warm_start="off")
    adiw.network.load_state_dict(diw.network.state_dict())
    w, approached = (run.method.weigh(small.first_step(run)) for run in (diw, adiw))
    assert w is not None
    assert approached is not None
    target = diw._learner.evaluate(diw.splits.reference).losses
    source = small.first_step(diw).forward.losses.detach()
    objective = Mismatch.of(source, target)
    assert objective(w) <= objective(approached) + 1e-7
    assert objective(w) == pytest.approx(objective(approached), rel=1e-3)


@pytest.mark.parametrize("ridge", [None, 0.3])
def test_diw_adds_its_ridge(small_run: MakeRun, ridge: float | None) -> None:
    run = small_run(method="diw", ridge=ridge)
    w = run.method.weigh(small.first_step(run))
    assert w is not None
    source = small.first_step(run).forward.losses.detach()
    target = run._learner.evaluate(run.splits.reference).losses
    strength = DEFAULT_RIDGE if ridge is None else ridge
    problem = MMD().prepare(source.double(), target.double())
    expected = solve_mmd_exactly(problem, FeasibleSet(), strength)
    assert w.double() == pytest.approx(expected, abs=1e-3)
    other = solve_mmd_exactly(problem, FeasibleSet(), strength / 3)
    assert float((w - other).abs().max()) > 0.02


class Mismatch:
    """w'Kw/2n² - k'w/n with the width at the median pooled distance, in numpy."""

    def __init__(self, kernel: np.ndarray, across: np.ndarray) -> None:
        self.kernel, self.across = kernel, across

    @classmethod
    def of(cls, source: Tensor, target: Tensor) -> "Mismatch":
        z, v = (x.double().numpy().reshape(-1, 1) for x in (source, target))
        pooled = np.r_[z, v]
        between = np.abs(pooled - pooled.T)[np.triu_indices(len(pooled), 1)]
        gamma = 1 / (2 * np.median(between) ** 2)
        return cls(rbf_kernel(z, gamma=gamma), rbf_kernel(z, v, gamma=gamma).mean(axis=1))

    def __call__(self, w: Tensor) -> float:
        x = w.double().numpy() / len(w)
        return float(x @ self.kernel @ x / 2 - self.across @ x)


def test_a_method_is_a_module_whose_state_loads_with_weights_only(
    small_run: MakeRun, tmp_path: Any
) -> None:
    for values in ({"method": "giw", "divergence": "auto"}, {"method": "static"}):
        run = small_run(**values)
        assert isinstance(run.method, Method)
        run.run_epoch()
        torch.save(run.state_dict(), tmp_path / "state.pt")
        again = small_run(**values)
        again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert again.report() == run.report()
        assert again.run_epoch().loss == run.run_epoch().loss
