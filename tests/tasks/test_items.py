"""Labels of a torch ``Dataset``: what its items say, and nothing else."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from adiw_tune.errors import UserError
from adiw_tune.tasks.items import as_column, read_labels

ROWS = 60
LABELS = [i % 5 for i in range(ROWS)]


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
    "labels", [LABELS, torch.tensor(LABELS), torch.tensor(LABELS).float(), np.array(LABELS), []]
)
def test_labels_are_read_from_the_items_where_there_are_no_targets(labels: Any) -> None:
    found = read_labels(Labelled(labels), "Labelled")
    assert found.dtype == torch.int64
    assert found.tolist() == [int(label) for label in labels]


@pytest.mark.parametrize("targets", [LABELS, torch.tensor(LABELS).int(), np.array(LABELS)])
def test_few_items_are_read_where_there_are_targets(targets: Any) -> None:
    dataset = with_targets(targets)
    assert read_labels(dataset, "Labelled").tolist() == LABELS
    assert len(dataset.read) == 8
    assert (min(dataset.read), max(dataset.read)) == (0, ROWS - 1)


def test_targets_that_are_transformed_on_the_way_are_not_the_labels() -> None:
    dataset = with_targets([0] * ROWS)
    dataset.target_transform = lambda target: target + 1  # type: ignore[attr-defined]
    assert read_labels(dataset, "Labelled").tolist() == LABELS


def test_few_rows_with_targets_are_read_once_each() -> None:
    dataset = with_targets([1, 0], labels=[1, 0])
    assert read_labels(dataset, "Labelled").tolist() == [1, 0]
    assert dataset.read == [0, 1]
    assert read_labels(with_targets([], labels=[]), "Labelled").tolist() == []


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([1, *LABELS[1:]], "item 0 of Labelled has the label 0, its targets say 1: make them agr"),
        ([0, 1, 2], r"targets of Labelled have shape \[3\]: give \[60\]"),
        (torch.eye(ROWS), r"targets of Labelled have shape \[60, 60\]: give \[60\]"),
        (["cat"] * ROWS, r"targets of Labelled are no numbers \(.*\): give int64"),
        ([[0], *LABELS[1:]], r"targets of Labelled are no numbers \(.*\): give int64"),
        (len, r"targets of Labelled are no numbers \(.*\): give int64"),
        ([float(label) for label in LABELS], "targets of Labelled are torch.float32: give int64"),
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
        ("cat", "the label 'cat'"),
        ("3", "the label '3'"),
        (None, "the label None"),
        (1.7, "the label 1.7"),
        (torch.tensor(1.7), r"the label tensor\(1.7000\)"),
        (float("inf"), "the label inf"),
        (float("nan"), "the label nan"),
        (2**63, "the label 9223372036854775808"),
        (torch.eye(100)[3], r"a label of shape \[100\]"),
        (np.eye(100)[3], r"a label of shape \[100\]"),
    ],
)
def test_label_that_is_no_whole_number_is_named_in_one_line(label: Any, told: str) -> None:
    message = f"item 2 of Labelled has {told}: labels must be whole numbers that int64 holds"
    with pytest.raises(UserError, match=message) as caught:
        read_labels(Labelled([0, 1, label]), "Labelled")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [[0, 1], np.array([0, 1]), torch.tensor([0, 1]).short()])
def test_column_may_be_a_list_an_array_or_a_tensor(values: Any) -> None:
    column = as_column(values, "groups", 2)
    assert column.dtype == torch.int64
    assert column.tolist() == [0, 1]


@pytest.mark.parametrize("values", [torch.ones(2), torch.ones(2).bool(), torch.ones(2) * 1j])
def test_column_of_other_than_whole_numbers_is_refused(values: Tensor) -> None:
    with pytest.raises(UserError, match=r"groups are torch.*: give int64"):
        as_column(values, "groups", 2)
