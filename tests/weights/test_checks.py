"""Mini-batches that weights cannot be estimated from are refused, in one line each."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adiw_tune import ImportanceWeighter, UserError, WeightSolver
from adiw_tune.divergences import MMD, make_divergence
from adiw_tune.weights import FeasibleSet, WeightMemory

Change = Callable[[Tensor], Any]


def batch() -> dict[str, Tensor]:
    """Losses of 8 of 40 training samples, of 6 reference rows, and which samples they are."""
    generator = torch.Generator().manual_seed(0)
    losses = torch.randn(14, generator=generator).exp()
    return {"source": losses[:8], "target": losses[8:], "index": torch.arange(8)}


def column(z: Tensor) -> Tensor:
    return z.unsqueeze(1)


def wide(z: Tensor) -> Tensor:
    return z.unsqueeze(1).expand(-1, 3)


BOTH = ("source", "target")
WRONG: list[tuple[dict[str, Change], str]] = [
    # One-logit losses: weights [n] times losses [n, 1] are [n, n], and training is plain.
    (dict.fromkeys(BOTH, column), "source is [8, 1]: give one number for each row as [n], by sou"),
    ({"source": column}, "source is [8, 1]: give one number"),
    ({"target": column}, "target is [6, 1]: give one number for each row as [n], by target.squee"),
    ({"target": torch.mean}, "target is a single number: give the loss of each row, [n] (reduc"),
    ({"source": lambda z: z[:1].squeeze(0)}, "source is a single number"),
    ({"source": lambda z: z[:0], "index": lambda i: i[:0]}, "source is [0]: at least one row is"),
    ({"target": lambda z: z[:0]}, "target is [0]: at least one row is needed"),
    (dict.fromkeys(BOTH, lambda z: wide(z)[:, :0]), "source is [8, 0]: at least one row is ne"),
    (dict.fromkeys(BOTH, lambda z: z.reshape(2, 1, -1)), "source is [2, 1, 4]: give dense losses"),
    ({"source": torch.Tensor.to_sparse}, "source is [8] torch.sparse_coo: give dense losses [n]"),
    ({"source": wide}, "source is [8, 3] and target [6]: give the losses of both, or features"),
    ({"source": wide, "target": lambda z: wide(z)[:, :2]}, "source is [8, 3] and target [6, 2]"),
    (dict.fromkeys(BOTH, torch.Tensor.long), "source is torch.int64: give float16, bfloat16, fl"),
    ({"target": torch.Tensor.bool}, "target is torch.bool: give float16"),
    ({"source": lambda z: z + 0j}, "source is torch.complex64: give float16"),
    ({"target": torch.Tensor.double}, "source is torch.float32 and target torch.float64: give bo"),
    ({"source": torch.Tensor.bfloat16}, "source is torch.bfloat16 and target torch.float32"),
    ({"source": torch.Tensor.tolist}, "source must be a tensor; got list"),
    ({"target": torch.Tensor.numpy}, "target must be a tensor; got ndarray"),
    ({"target": lambda z: None}, "target must be a tensor; got NoneType"),
    ({"target": lambda z: z.to("meta")}, "source is on cpu and target on meta: move one to the"),
    (
        dict.fromkeys((*BOTH, "index"), lambda z: z.to("meta")),
        "the weighter is on cpu and source on meta: move it there, by weighter.to('meta')",
    ),
    ({"index": lambda i: i.to("meta")}, "index is on meta and source on cpu: move index there"),
    ({"index": torch.Tensor.tolist}, "index must be a tensor of sample numbers; got list"),
    ({"index": lambda i: i[:-1]}, "index is [7]: give the sample number of each row of source, [8"),
    ({"index": lambda i: i[:1]}, "index is [1]: give the sample number of each row"),
    ({"index": column}, "index is [8, 1]: give the sample number of each row"),
    ({"index": lambda i: i[0]}, "index is []: give the sample number of each row"),
    ({"index": torch.Tensor.byte}, "index is torch.uint8: give sample numbers"),
    ({"index": torch.Tensor.short}, "index is torch.int16: give sample numbers"),
    ({"index": torch.Tensor.float}, "index is torch.float32: give sample numbers"),
    # A mask of as many samples as there are rows is an index to torch.
    ({"index": lambda i: torch.arange(40) < 8}, "index is torch.bool: give sample numbers"),
    ({"index": lambda i: i - 1}, "index runs from -1 to 6: with 40 training samples it must lie"),
    ({"index": lambda i: i + 33}, "index runs from 33 to 40: with 40 training samples it must li"),
]


@pytest.mark.parametrize(("changes", "told"), WRONG, ids=[told[:24] for _, told in WRONG])
@pytest.mark.parametrize("contents", [False, True])
def test_a_mini_batch_of_a_wrong_kind_is_refused_and_leaves_no_trace(
    changes: dict[str, Change], told: str, contents: bool
) -> None:
    given: dict[str, Any] = batch()
    for name, change in changes.items():
        given[name] = change(given[name])
    weighter = ImportanceWeighter(40, check_contents=contents)
    with pytest.raises(UserError, match=f"^{re.escape(told)}") as caught:
        weighter(**given)
    assert "\n" not in str(caught.value)
    assert torch.equal(weighter.memory.weights, torch.ones(40))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict.fromkeys(BOTH, wide),
        dict.fromkeys(BOTH, torch.Tensor.half),
        dict.fromkeys(BOTH, lambda z: wide(z).T.contiguous().T),  # in another order in memory
        {"index": torch.Tensor.int},
        {"index": lambda i: i * 0},  # drawn with replacement
        {"source": lambda z: z[:1], "index": lambda i: i[:1]},
        {"target": lambda z: z[:1]},
    ],
)
def test_what_can_be_weighed_is(changes: dict[str, Change]) -> None:
    given: dict[str, Any] = batch()
    for name, change in changes.items():
        given[name] = change(given[name])
    for contents in (False, True):
        w = ImportanceWeighter(40, check_contents=contents)(**given)
        assert w.shape == given["source"].shape[:1]
        assert w.dtype == given["source"].dtype
        assert float(w.float().mean()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "source",
            float("nan"),
            "1 of 8 rows of source are not finite; the first is row 3, wi",
        ),
        (
            "target",
            float("-inf"),
            "1 of 6 rows of target are not finite; the first is row 3, wi",
        ),
    ],
)
@pytest.mark.parametrize("shaped", [torch.clone, lambda z: wide(z).clone()])
def test_contents_are_looked_at_where_that_is_asked_for(
    name: str, value: float, told: str, shaped: Change
) -> None:
    given = batch()
    given |= {role: shaped(given[role]) for role in BOTH}
    given[name][3] = value
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        ImportanceWeighter(40, check_contents=True)(**given)
    assert ImportanceWeighter(40)(**given).tolist() == [1] * 8


def test_an_index_on_a_device_is_left_there() -> None:
    # Without values: to look at one would raise, as it would make the host wait for a GPU.
    weighter = ImportanceWeighter(40).to("meta")
    given = {name: z.to("meta") for name, z in batch().items()}
    assert weighter(**given).device.type == "meta"
    looking = ImportanceWeighter(40, check_contents=True).to("meta")
    with pytest.raises(RuntimeError, match="meta"):
        looking(**given)


@pytest.mark.filterwarnings("default")  # the compiler has its own to give
def test_a_step_that_is_compiled_whole_asks_for_no_value() -> None:
    weighter, plain = (ImportanceWeighter(40, "squared", WeightSolver(1)) for _ in range(2))
    step = torch.compile(weighter.forward, backend="eager", fullgraph=True)
    assert torch.equal(step(**batch()), plain(**batch()))


@pytest.mark.parametrize("divergence", [MMD, 3, None, object(), torch.ones(30, 5)])
def test_what_is_no_divergence_is_refused(divergence: Any) -> None:
    told = r"divergence must be a name, the path of a file, or an object with .*; got .+$"
    with pytest.raises(UserError, match=told):
        ImportanceWeighter(40, divergence)


@pytest.mark.parametrize("solver", [5, "5", WeightSolver, 0])
def test_what_is_no_solver_is_refused(solver: Any) -> None:
    with pytest.raises(
        UserError, match=r"solver must be a WeightSolver, as WeightSolver\(steps=5\); got .+$"
    ):
        ImportanceWeighter(40, solver=solver)


@pytest.mark.parametrize("size", [8.0, "8", None, [8], torch.ones(30, 5)])
def test_what_is_no_number_of_samples_is_refused(size: Any) -> None:
    with pytest.raises(
        UserError, match=r"size must be a whole number, of training samples; got .+$"
    ):
        ImportanceWeighter(size)


@pytest.mark.parametrize("size", [0, -1])
def test_no_samples_cannot_be_remembered(size: int) -> None:
    with pytest.raises(UserError, match=f"size must be at least 1.* got {size}"):
        WeightMemory(size)
    with pytest.raises(UserError, match="size must be at least 1"):
        ImportanceWeighter(size)


@pytest.mark.parametrize("number", [1.5, "5", None, True, torch.tensor(5), [5]])
def test_what_is_no_number_of_steps_is_refused(number: Any) -> None:
    with pytest.raises(UserError, match=r"^steps must be a whole number; got "):
        WeightSolver(number)


@pytest.mark.parametrize("number", ["0.5", None, True, torch.tensor(0.5), [0.5], 1j])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("step_size", lambda number: WeightSolver(5, number)),
        ("cap", FeasibleSet),
        ("slack", lambda number: FeasibleSet(50, number)),
        ("retention", lambda number: ImportanceWeighter(8, retention=number)),
        ("bandwidth", lambda number: make_divergence("mmd", number)),
    ],
)
def test_what_is_no_number_is_refused(name: str, make: Callable[[Any], Any], number: Any) -> None:
    if name == "bandwidth" and number is None:
        assert make(None) == MMD()
        return
    with pytest.raises(UserError, match=f"^{name} must be a number; got ") as caught:
        make(number)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [int, np.int64, np.int32])
def test_whole_numbers_may_be_numpys(kind: Any) -> None:
    assert WeightSolver(kind(5), np.float32(0.5), FeasibleSet(kind(7))).steps == 5


@pytest.mark.parametrize("feasible", [50, None, FeasibleSet])
def test_what_is_no_feasible_set_is_refused(feasible: Any) -> None:
    with pytest.raises(UserError, match=r"^feasible must be a FeasibleSet, such as Feasib"):
        WeightSolver(feasible=feasible)


@pytest.mark.parametrize("name", [None, 3, MMD()])
def test_what_is_no_name_of_a_divergence_is_refused(name: Any) -> None:
    with pytest.raises(
        UserError, match=r"^divergence must be a name or the path of a Python file; got "
    ):
        make_divergence(name)


@pytest.mark.parametrize("role", [*BOTH, "index"])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused(role: str) -> None:
    given = batch()
    given[role] = torch.nested.nested_tensor([given[role][:3], given[role][3:]])
    with pytest.raises(UserError, match=f"^{role} is nested: give "):
        ImportanceWeighter(40)(**given)


def test_a_divergence_that_prepares_nothing_is_named() -> None:
    class Forgetful:
        def prepare(self, source: Tensor, target: Tensor) -> Any:
            MMD().prepare(source, target)  # and no return

    with pytest.raises(UserError, match=r"^prepare of Forgetful must give an object with at"):
        ImportanceWeighter(40, Forgetful())(**batch())
