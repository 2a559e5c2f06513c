"""How mini-batches go through the network: what is left alone, what is changed at random."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Network
from adiw_tune.training import METHODS, Peers, TrainingRun, TrialConfig
from adiw_tune.training.learner import Learner, represent

from . import small
from .conftest import MakeRun
from .test_loop import numbers, same_state

ROWS = small.rows(30, seed=5)
NETWORKS = ["plain", "batch-norm", "dropout"]


def network(name: str) -> Network:
    torch.manual_seed(0)
    made = small.task().networks[name](torch.Size([small.WIDTH]), small.CLASSES)
    return made.train()


def copied(network: Network) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def changed(network: Network, before: dict[str, Tensor]) -> set[str]:
    now = network.state_dict()
    return {key for key, value in before.items() if not torch.equal(value, now[key])}


def modes(network: Network) -> list[tuple[bool, object]]:
    return [(m.training, getattr(m, "track_running_stats", None)) for m in network.modules()]


def test_a_training_pass_moves_the_running_statistics() -> None:
    made = network("batch-norm")
    before = copied(made)
    Learner(made).forward(ROWS)
    assert {key.split(".")[-1] for key in changed(made, before)} == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["look", "evaluate"])
def test_what_only_measures_changes_nothing(name: str, how: str) -> None:
    made = network(name)
    before, as_it_was = copied(made), modes(made)
    result = getattr(Learner(made), how)(ROWS)
    assert not result.losses.requires_grad
    assert changed(made, before) == set()
    assert modes(made) == as_it_was


@pytest.mark.parametrize("how", ["look", "evaluate"])
def test_after_a_pass_that_failed_too_all_is_as_it_was(how: str) -> None:
    made = network("batch-norm")
    as_it_was = modes(made)
    with pytest.raises(UserError, match="the network of task 'the task' fails on a mini-batch of"):
        getattr(Learner(made), how)(replace(ROWS, inputs=torch.ones(30, 99)))
    assert modes(made) == as_it_was


def test_a_look_normalises_by_its_own_mini_batch_and_an_evaluation_by_what_is_remembered() -> None:
    made = network("batch-norm")
    learner = Learner(made)
    learner.forward(small.rows(64, seed=6))
    as_trained = learner.forward(ROWS).losses  # moves what is remembered, but does not use it
    assert torch.equal(learner.look(ROWS).losses, as_trained)
    expected = functional.cross_entropy(made.eval()(ROWS.inputs), ROWS.labels, reduction="none")
    made.train()
    assert torch.equal(learner.evaluate(ROWS).losses, expected)
    assert not torch.allclose(expected, as_trained, rtol=1e-2)


def test_losses_are_the_cross_entropy_of_the_head_on_the_features() -> None:
    made = network("plain")
    result = Learner(made).forward(ROWS)
    logits = made.head(result.features)
    assert torch.equal(result.logits, logits)
    expected = -logits.log_softmax(dim=1)[torch.arange(30), ROWS.labels]
    assert torch.allclose(result.losses, expected, atol=1e-6)
    first, rest = result.split(12)
    assert torch.equal(torch.cat([first.losses, rest.losses]), result.losses)
    assert (len(first.features), len(first.labels), len(rest.logits)) == (12, 12, 18)


def test_bfloat16_rounds_the_passes_and_not_what_is_made_of_them() -> None:
    made = network("plain")
    exact, rounded = (
        Learner(made, precision).forward(ROWS) for precision in ("float32", "bfloat16")
    )
    assert rounded.features.dtype == torch.bfloat16
    assert rounded.losses.dtype == rounded.logits.dtype == torch.float32
    assert not torch.equal(rounded.losses, exact.losses)
    assert torch.allclose(rounded.losses, exact.losses, atol=0.05)
    for kind in ("loss", "feature"):
        for z in represent(kind, rounded, rounded):
            assert z.dtype == torch.float32


@pytest.mark.parametrize("representation", ["loss", "feature"])
@pytest.mark.parametrize(
    "values", [*({"method": m} for m in METHODS), {"divergence": "auto"}], ids=str
)
def test_every_method_runs_in_bfloat16(
    small_run: MakeRun, values: dict[str, Any], representation: str
) -> None:
    run = small_run(**values, precision="bfloat16", representation=representation)
    assert len(numbers(run)) == 3
    assert {value.dtype for value in run.network.parameters()} == {torch.float32}


def test_l2rw_makes_all_its_passes_in_the_precision_asked_for(small_run: MakeRun) -> None:
    run = small_run(method="l2rw", precision="bfloat16")
    step = small.first_step(run)
    seen: list[torch.dtype] = []
    for layer in run.network.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, made: seen.append(made.dtype))
    run.method.weigh(step)
    assert seen == [torch.bfloat16] * 4  # two layers, for the reference rows and for the slopes


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["batch-norm", "dropout"])
def test_every_method_trains_a_network_with_a_state_and_resumes_it(
    small_run: MakeRun, name: str, method: str
) -> None:
    values = {"method": method, "network": name, "warmup_epochs": 1}
    whole, stopped, resumed = (small_run(small.jitter, **values) for _ in range(3))
    torch.manual_seed(0)  # the three were made one after the other, and share the generator
    expected = numbers(whole)
    torch.manual_seed(0)
    stopped.run_epoch()
    resumed.load_state_dict(stopped.state_dict())
    assert numbers(resumed) == expected[1:]
    assert same_state(resumed, whole)


@pytest.mark.parametrize(
    "values", [*({"method": m} for m in METHODS), {"divergence": "auto"}], ids=str
)
def test_a_batch_of_one_row_passes_through_batch_norm(
    small_run: MakeRun, values: dict[str, Any]
) -> None:
    for sizes in ({"batch_size": 61, "reference_size": 40}, {"batch_size": 1, "reference_size": 1}):
        run = small_run(network="batch-norm", select_size=40, epochs=1, **sizes, **values)
        assert [epoch for epoch, *_ in numbers(run)] == [1]


def test_one_row_goes_by_the_running_statistics_and_two_by_their_own() -> None:
    made = network("batch-norm")
    learner = Learner(made)
    learner.forward(small.rows(64, seed=6))
    before, as_it_was = copied(made), modes(made)
    one, two = (ROWS.take(torch.arange(count)) for count in (1, 2))
    assert torch.equal(learner.forward(one).losses, learner.evaluate(one).losses)
    assert changed(made, before) == set()
    assert modes(made) == as_it_was
    assert not torch.equal(learner.forward(two).losses, learner.evaluate(two).losses)


def test_fewer_rows_than_peers_go_by_the_running_statistics_and_as_many_by_their_own() -> None:
    made = network("batch-norm")
    learner = Learner(made, peers=Peers(size=3))
    learner.forward(small.rows(64, seed=6))
    before, as_it_was = copied(made), modes(made)
    share = ROWS.take(torch.arange(2))
    assert torch.equal(learner.forward(share, n=2).losses, learner.evaluate(share).losses)
    assert changed(made, before) == set()
    assert modes(made) == as_it_was
    assert not torch.equal(learner.forward(share, n=3).losses, learner.evaluate(share).losses)


class Watcher(nn.Module):
    """Passes inputs on, and notes of each mini-batch whether it was augmented, and the mode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((bool((x != x.round()).any()), self.training))
        return x


def watched(run: TrainingRun) -> Watcher:
    watcher = Watcher()
    run.network.features = nn.Sequential(watcher, run.network.features)
    return watcher


@pytest.mark.parametrize(
    "values", [*({"method": m} for m in METHODS), {"divergence": "auto"}], ids=str
)
def test_what_is_trained_on_or_compared_with_it_is_augmented(
    small_run: MakeRun, values: dict[str, Any]
) -> None:
    run = small_run(small.jitter, **values)
    run.method.begin(run._learner)  # which looks at whole splits, as they are
    watcher = watched(run)
    run.config = replace(run.config, warmup_epochs=3)
    run.run_epoch()
    batches = -(-len(run.method.rows) // 32) if len(run.method.rows) > 123 else 4
    passes = batches * (2 if run.method.reference_weight else 1)
    assert watcher.seen == [(True, True)] * passes + [(False, False)]  # and the select split


@pytest.mark.parametrize(
    "values", [*({"method": m} for m in METHODS), {"divergence": "auto"}], ids=str
)
def test_rows_that_set_weights_are_augmented_too(
    small_run: MakeRun, values: dict[str, Any]
) -> None:
    run = small_run(small.jitter, **values)
    run.method.begin(run._learner)
    step = small.first_step(run)
    watcher = watched(run)
    run.method.loss(replace(step, rows=run._learner.augmented(step.rows)))
    assert all(augmented for augmented, _ in watcher.seen)
    looks = values.get("method") not in ("erm", "clean-only", "static")
    assert bool(watcher.seen) == looks


def test_without_augmentation_rows_stay_as_they_are() -> None:
    learner = Learner(network("plain"))
    assert learner.augmented(ROWS) is ROWS


def test_augmentation_keeps_labels_and_groups_and_is_not_applied_by_forward() -> None:
    learner = Learner(network("plain"), augment=small.jitter)
    augmented = learner.augmented(ROWS)
    assert not torch.equal(augmented.inputs, ROWS.inputs)
    assert torch.equal(augmented.labels, ROWS.labels)
    assert augmented.groups is ROWS.groups
    assert torch.equal(learner.forward(ROWS).losses, Learner(learner.network).forward(ROWS).losses)


def test_augmentation_is_fixed_by_the_seed(small_run: MakeRun) -> None:
    expected = numbers(small_run(small.jitter))
    torch.rand(7)  # what else drew from the global generator must not matter
    assert numbers(small_run(small.jitter)) == expected
    assert numbers(small_run()) != expected


def test_the_network_asked_for_is_the_one_trained(small_run: MakeRun) -> None:
    kinds = {
        name: {type(m) for m in small_run(network=name).network.modules()} for name in NETWORKS
    }
    assert nn.BatchNorm1d in kinds["batch-norm"]
    assert nn.Dropout in kinds["dropout"]
    default = {type(m) for m in small_run().network.modules()}
    assert default == kinds["plain"] != kinds["dropout"]


def test_a_task_of_ones_own_is_found_by_its_name(small_run: MakeRun) -> None:
    run = small_run()
    assert run.splits.classes == TASKS["small"].load(None).classes == small.CLASSES
    assert TrialConfig(task="small", network="plain").network == "plain"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        dist.DistBackendError("NCCL error: remote process exited"),
        RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"),
    ],
)
def test_what_a_search_handles_is_not_blamed_on_a_users_code(error: Exception) -> None:
    made = network("plain")

    def fails(module: nn.Module, inputs: Any) -> None:
        raise error

    made.register_forward_pre_hook(fails)
    next(made.children()).register_forward_pre_hook(fails)
    with pytest.raises(type(error), match=re.escape(str(error))):
        Learner(made).forward(ROWS)
