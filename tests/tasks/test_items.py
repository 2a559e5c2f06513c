"""Labels of a torch ``Dataset``: what its items say, and nothing else."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError
from adiw_tune.tasks.items import read_inputs, read_labels

ROWS = 60
LABELS = [i % 5 for i in range(ROWS)]
NAMES = ["cat", "dog", "ant"] * 20


class Labelled(Dataset[Any]):
    """Item i has the label ``labels[i]``."""

    def __init__(self, labels: Any) -> None:
        self.read: list[int] = []
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, item: int) -> tuple[Tensor, Any]:
        self.read.append(item)
        return torch.zeros(2), self._labels[item]


def with_targets(targets: Any, labels: Any = LABELS) -> Labelled:
    dataset = Labelled(labels)
    dataset.targets = targets  # type: ignore[attr-defined]
    return dataset


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (LABELS, torch.int64),
        (torch.tensor(LABELS), torch.int64),
        (np.array(LABELS), torch.int64),
        ([0.5 * label for label in LABELS], torch.float32),
        (torch.tensor(LABELS).double(), torch.float32),
        (torch.tensor(LABELS).to(torch.uint16), torch.int64),
        (np.array(LABELS, "u4"), torch.int64),
        ([], torch.int64),
    ],
)
def test_labels_are_read_from_the_items_where_there_are_no_targets(
    labels: Any, dtype: torch.dtype
) -> None:
    found = read_labels(Labelled(labels), "Labelled")
    assert found.values.dtype == dtype
    assert found.values.tolist() == [float(label) for label in labels]
    assert found.names == ()


def test_labels_of_items_may_be_vectors_or_names() -> None:
    vectors = torch.eye(5)[LABELS]
    assert torch.equal(read_labels(Labelled(vectors), "Labelled").values, vectors)
    for named in (Labelled(NAMES), with_targets(NAMES, labels=NAMES)):
        found = read_labels(named, "Labelled")
        assert found.names == ("ant", "cat", "dog")
        assert found.values.tolist() == [1, 2, 0] * 20


@pytest.mark.parametrize("targets", [LABELS, torch.tensor(LABELS).int(), np.array(LABELS)])
def test_few_items_are_read_where_there_are_targets(targets: Any) -> None:
    dataset = with_targets(targets)
    assert read_labels(dataset, "Labelled").values.tolist() == LABELS
    assert len(dataset.read) == 8
    assert (min(dataset.read), max(dataset.read)) == (0, ROWS - 1)


def test_targets_that_are_transformed_on_the_way_are_not_the_labels() -> None:
    dataset = with_targets([0] * ROWS)
    dataset.target_transform = lambda target: target + 1  # type: ignore[attr-defined]
    assert read_labels(dataset, "Labelled").values.tolist() == LABELS


def test_few_rows_with_targets_are_read_once_each() -> None:
    dataset = with_targets([1, 0], labels=[1, 0])
    assert read_labels(dataset, "Labelled").values.tolist() == [1, 0]
    assert dataset.read == [0, 1]
    assert read_labels(with_targets([], labels=[]), "Labelled").values.tolist() == []


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1, *LABELS[1:]], "item 0 of Labelled has the label 0, its targets say 1: make them agr"),
        (NAMES, "item 0 of Labelled has the label 0, its targets say cat: make them agree"),
        ([0, 1, 2], r"targets of Labelled have shape \[3\]: give one for each of 60 rows"),
        (torch.tensor(3), r"targets of Labelled have shape \[\]: give one for each of 60 rows"),
        (["cat", 0] * 30, "targets of Labelled are names and other things: give a name or a numb"),
        ([None] * ROWS, r"targets of Labelled have dtype object, which torch does not supp"),
        ([[0], *LABELS[1:]], r"targets of Labelled are not alike \(.*\): make them so"),
        ([torch.ones(2), 3], r"targets of Labelled are not alike \(.*\): make them so"),
        (len, r"targets of Labelled are of type builtin_function_or_method: give a tensor"),
    ],
)
def test_targets_that_are_not_the_labels_are_refused_in_one_line(
    targets: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_labels(with_targets(targets), "Labelled")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("cat", "the label 'cat': give a number, a name or a tensor, all of one kind"),
        (None, "the label None: give a number"),
        (2**64, "the label 18446744073709551616: give a number"),
        (torch.ones(2).to_sparse(), r"the label tensor\(.*: give a number"),
        (1.7, r"a label \[\] torch.float32, another has \[\] torch.int64: all must be alike"),
        (np.eye(9)[3], r"a label \[9\] torch.float32, another has \[\] torch.int64: all must"),
    ],
)
def test_label_that_is_unlike_the_others_is_named_in_one_line(label: Any, told: str) -> None:
    with pytest.raises(UserError, match=f"item 2 of Labelled has {told}") as caught:
        read_labels(Labelled([0, 1, label]), "Labelled")
    assert "\n" not in str(caught.value)


class Sentences(Dataset[Any]):
    """Items of several lengths, which ``collate_fn`` pads."""

    def __init__(self, spoilt: Any = None) -> None:
        self.spoilt = spoilt

    def __len__(self) -> int:
        return 4

    def __getitem__(self, item: int) -> tuple[list[int], int]:
        return [item + 1] * (item + 1), item % 2

    def collate_fn(self, items: list[tuple[list[int], int]]) -> Any:
        if self.spoilt is not None:
            return self.spoilt(items)
        return padded(items), torch.tensor([label for _, label in items])


def padded(items: Any) -> dict[str, Tensor]:
    most = max(len(words) for words, _ in items)
    tokens = torch.tensor([words + [0] * (most - len(words)) for words, _ in items])
    return {"tokens": tokens, "mask": tokens > 0}


def test_mini_batches_are_what_the_collate_fn_makes() -> None:
    found = read_inputs(Sentences(), [2, 0], "Sentences")
    assert found["tokens"].tolist() == [[3, 3, 3], [1, 0, 0]]
    assert found["mask"].tolist() == [[True] * 3, [True, False, False]]
    assert read_inputs(Sentences(), [1], "Sentences")["tokens"].tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (
            lambda items: 1 / 0,
            r"collate_fn of Sentences fails on item 1 and 1 other \(ZeroDivisionErr",
        ),
        (
            lambda items: None,
            r"collate_fn of Sentences fails on item 1 and 1 other \(TypeError: .*subs",
        ),
        (
            lambda items: [padded(items)],
            r"collate_fn of Sentences fails on item 1 and 1 other \(IndexErr",
        ),
        (
            lambda items: ({"words": "a"}, 0),
            r"inputs\['words'\] of what collate_fn of Sentences makes of item 1 and 1 other are of",
        ),
        (
            lambda items: (torch.zeros(5, 3), 0),
            r"inputs of what collate_fn of Sentences makes of item 1 and 1 other are \[5, 3\]: the",
        ),
    ],
)
def test_what_a_collate_fn_must_not_make_is_told_in_one_line(spoilt: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_inputs(Sentences(spoilt), [1, 3], "Sentences")
    assert "\n" not in str(caught.value)


class Relabelled(Sentences):
    """Sentences whose item i has the label ``labels[i]``."""

    def __init__(self, labels: Any, collated: Any) -> None:
        super().__init__(lambda items: collated(list(items)))
        self.labels = labels

    def __getitem__(self, item: int) -> tuple[list[int], Any]:
        return super().__getitem__(item)[0], self.labels[item]


def in_place(items: list[Any]) -> list[Any]:
    items.sort(key=lambda item: -len(item[0]))
    return items


REORDERED = {
    "sorted": lambda items: sorted(items, key=lambda item: -len(item[0])),
    "in place": in_place,
    "reversed": lambda items: items[::-1],
}
LABELLED = {
    "numbers": ([3, 1, 0, 2], torch.tensor),
    "numbers in a list": ([3, 1, 0, 2], list),
    "large numbers": ([2**40 + i for i in range(4)], torch.tensor),
    "bits": ([True, False, False, False], torch.tensor),
    "arrays": (list(np.arange(4.0)), np.array),
    "tensors": (torch.arange(4), torch.stack),
    "vectors": (torch.eye(4), torch.stack),
    "a column": ([0.1, 0.7, 0.3, -2.0], lambda given: torch.tensor(given)[:, None]),
    "halves": ([0.1, 0.7, 0.3, -2.0], lambda given: torch.tensor(given).bfloat16()),
    "names": (["dog", "cat", "ant", "cow"], list),
}


@pytest.mark.parametrize("of", LABELLED)
def test_a_collate_fn_that_moves_items_to_other_rows_is_refused(of: str) -> None:
    labels, made = LABELLED[of]

    def collated(items: list[Any]) -> Any:
        return padded(items), made([label for _, label in items])

    assert read_inputs(Relabelled(labels, collated), [0, 1, 3], "Sorted")["mask"].shape == (3, 4)
    for order in REORDERED.values():
        moved = Relabelled(labels, lambda items, order=order: collated(order(items)))
        with pytest.raises(UserError) as caught:
            read_inputs(moved, [0, 1, 3], "Sorted")
        assert str(caught.value) == (
            "the labels that collate_fn of Sorted makes of item 0 and 2 others are not the "
            "labels of these items: keep the items in order, and their labels unchanged"
        )


def test_real_labels_that_are_close_are_told_apart() -> None:
    def collated(items: list[Any]) -> Any:
        return padded(items), torch.tensor([label for _, label in items])

    years = Relabelled([1990.0, 2005.0, 2001.0, 1994.0], lambda items: collated(items[::-1]))
    with pytest.raises(UserError, match="of item 0 and 1 other are not the labels of these"):
        read_inputs(years, [0, 1], "Years")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_collate_fn_that_moves_rows_to_a_device_is_refused() -> None:
    def collated(items: list[Any]) -> Any:
        words = padded(items)
        return {name: x.cuda() for name, x in words.items()}, torch.tensor([0, 1]).cuda()

    with pytest.raises(UserError, match="are on cuda:0: leave them on the CPU"):
        read_inputs(Relabelled([0, 1], collated), [0, 1], "Moved")


@pytest.mark.parametrize(
    ("labels", "made"),
    [
        (["dog", "cat", "ant", "cow"], lambda labels: torch.arange(len(labels))),
        ([3, 1, 0, 2], lambda labels: torch.eye(4)[labels]),
        ([3, 1, 0, 2], lambda labels: None),
        ([3, 1, 0, 2], lambda labels: 0),
        ([[1], [1, 2], [3], [1, 2, 3]], lambda labels: torch.zeros(len(labels), 3)),
        ([float("nan"), 1.0, 0.5, 2.0], torch.tensor),
    ],
)
def test_incomparable_collate_fn_labels_are_accepted(labels: Any, made: Any) -> None:
    def collated(items: list[Any]) -> Any:
        return padded(items), made([label for _, label in items])

    assert len(read_inputs(Relabelled(labels, collated), [0, 1, 3], "Other")["tokens"]) == 3
