"""Inputs that are dicts and tuples of tensors."""

from collections import UserDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from adiw_tune.tasks import Split, concatenated, in_order
from adiw_tune.tasks.nests import call, leaves, mapped, named, shapes
from adiw_tune.tasks.overlap import row_digests
from adiw_tune.tasks.rows import at_once, loaded


class Pair(NamedTuple):
    left: Any
    right: Any


A, B, C = torch.arange(6.0).view(3, 2), torch.arange(3), torch.tensor([True, False, True])
NEST = {"b": [B, (C,)], "a": Pair(A, B)}


def test_leaves_have_names_and_nests_keep_their_form() -> None:
    assert [at for at, _ in named(NEST)] == [
        "inputs['b'][0]", "inputs['b'][1][0]", "inputs['a'][0]", "inputs['a'][1]",
    ]  # fmt: skip
    doubled = mapped(lambda x: 2 * x, NEST)
    assert isinstance(doubled["a"], Pair)
    assert isinstance(doubled["b"][1], tuple)
    assert list(doubled) == ["b", "a"]
    assert torch.equal(doubled["a"].left, 2 * A)
    assert mapped(lambda x: x + 1, A) is not A
    assert isinstance(mapped(lambda x: x, UserDict(a=A)), dict)
    assert shapes(Pair(A, C)) == "inputs[0] [3, 2] torch.float32, inputs[1] [3] torch.bool"


def test_several_nests_are_mapped_place_by_place() -> None:
    both = mapped(lambda *some: torch.cat(some), NEST, NEST)
    assert torch.equal(both["a"].left, torch.cat([A, A]))
    assert torch.equal(both["b"][1][0], torch.cat([C, C]))


def test_the_order_of_keys_makes_no_difference_to_digests() -> None:
    labels = torch.arange(3)
    one, other = {"x": A, "y": B}, {"y": B, "x": A}
    assert [x.dtype for x in leaves(one)] == [x.dtype for x in leaves(other)]
    assert Split(one, labels).digest() == Split(other, labels).digest()
    assert Split(one, labels).digest() != Split({"x": A, "y": B + 1}, labels).digest()
    assert row_digests(one) == row_digests(other)
    changed = row_digests({"x": A, "y": torch.tensor([0, 1, 3])})
    assert [a == b for a, b in zip(row_digests(one), changed, strict=True)] == [True, True, False]


def test_rows_of_nests_are_taken_moved_and_put_together() -> None:
    rows = Split(NEST, torch.arange(3))
    some = rows.take(torch.tensor([2, 0]))
    assert some.inputs["a"].left.tolist() == [[4, 5], [0, 1]]
    assert some.inputs["b"][1][0].tolist() == [True, True]
    assert [x.shape[0] for x in leaves(rows.example)] == [1] * 4
    meta = rows.to(torch.device("meta"))
    assert {x.device.type for x in leaves(meta.inputs)} == {"meta"}
    for again in (loaded(rows), concatenated(*in_order(rows))):
        assert again.digest() == rows.digest()


def test_all_numbers_of_a_row_count_for_how_many_go_at_once() -> None:
    half = torch.zeros(1, dtype=torch.uint8).expand(2, 2**12)
    assert at_once(Split((half, half), torch.zeros(2))) == 2**23 // 2**13


class Keywords(nn.Module):
    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Any:
        return "keywords", tokens, mask


class Whole(nn.Module):
    def forward(self, inputs: Any) -> Any:
        return "whole", inputs


class Two(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Any:
        return "two", left, right


@pytest.mark.parametrize(
    ("module", "inputs", "expected"),
    [
        (Keywords(), {"tokens": A, "mask": B}, ("keywords", A, B)),
        (Keywords(), {"tokens": A}, ("keywords", A, None)),
        (Whole(), {"tokens": A, "mask": B}, ("whole", {"tokens": A, "mask": B})),
        (Whole(), {3: A}, ("whole", {3: A})),
        (Whole(), A, ("whole", A)),
        (Two(), (A, B), ("two", A, B)),
        (Two(), Pair(A, B), ("two", A, B)),
        (Whole(), (A, B), ("whole", (A, B))),
        (Whole(), [A, B], ("whole", [A, B])),
    ],
)
def test_a_module_is_given_a_nest_as_its_forward_takes_it(
    module: nn.Module, inputs: Any, expected: Any
) -> None:
    made = call(module, inputs)
    assert made[0] == expected[0]
    for one, other in zip(made[1:], expected[1:], strict=True):
        assert one is other or one == other
