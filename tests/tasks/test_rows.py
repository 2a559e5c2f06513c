"""Rows in memory."""

import torch

from adiw_tune.tasks import Split, concatenated, in_order
from adiw_tune.tasks.rows import at_once, loaded

ROWS = Split(torch.arange(5000).float().unsqueeze(1), torch.arange(5000) % 7, torch.arange(5000))


def test_rows_taken_keep_their_order_and_their_groups() -> None:
    some = ROWS.take(torch.tensor([3, 1, 3]))
    assert some.inputs.flatten().tolist() == [3, 1, 3]
    assert some.labels.tolist() == [3, 1, 3]
    assert some.groups is not None
    assert some.groups.tolist() == [3, 1, 3]


def test_all_rows_are_gone_through_in_order_and_in_parts() -> None:
    parts = list(in_order(ROWS))
    assert [len(part) for part in parts] == [2048, 2048, 904]
    assert torch.equal(torch.cat([part.labels for part in parts]), ROWS.labels)


def test_large_rows_are_gone_through_in_smaller_parts() -> None:
    def rows(*shape: int) -> Split:
        return Split(torch.zeros(1, dtype=torch.uint8).expand(2, *shape), torch.zeros(2).long())

    image = 3 * 224 * 224
    at_a_time = at_once(rows(3, 224, 224))
    assert at_a_time * image <= 2**23 < (at_a_time + 1) * image
    assert at_once(rows(2**30)) == 1


def test_rows_loaded_are_the_rows() -> None:
    again = loaded(ROWS)
    assert torch.equal(again.inputs, ROWS.inputs)
    assert torch.equal(again.labels, ROWS.labels)
    assert again.groups is not None
    assert ROWS.groups is not None
    assert torch.equal(again.groups, ROWS.groups)
    assert loaded(Split(ROWS.inputs, ROWS.labels)).groups is None


def test_rows_are_put_one_after_the_other() -> None:
    both = concatenated(ROWS.take(torch.tensor([5])), ROWS.take(torch.tensor([2, 4])))
    assert both.labels.tolist() == [5, 2, 4]
    assert both.groups is not None
    assert both.groups.tolist() == [5, 2, 4]
    assert concatenated(ROWS, Split(ROWS.inputs, ROWS.labels)).groups is None


def test_other_labels_leave_the_inputs() -> None:
    other = ROWS.relabelled(ROWS.labels + 1)
    assert torch.equal(other.labels, ROWS.labels + 1)
    assert other.inputs is ROWS.inputs
