"""Kinds of targets: told by labels, and what each makes of outputs."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from adiw_tune.errors import UserError
from adiw_tune.tasks.targets import KINDS, kind_of, row_loss

CLASSES = torch.tensor([0, 2, 1])
MULTI = torch.tensor([[0.0, 1], [1, 1], [0, 0]])
REAL = torch.tensor([0.5, -1, 3])


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([CLASSES], "classes"),
        ([CLASSES.bool(), CLASSES], "classes"),
        ([], "classes"),
        ([MULTI], "binary"),
        ([MULTI.long()], "binary"),
        ([MULTI.bool(), MULTI], "binary"),
        ([MULTI[:, 0]], "binary"),
        ([MULTI[:, :1]], "binary"),
        ([REAL], "real"),
        ([MULTI, REAL[:, None]], "real"),
        ([CLASSES[:, None]], None),
        ([CLASSES, REAL], None),
        ([torch.zeros(3, 2, 2)], None),
        ([REAL * 1j], None),
    ],
)
def test_kind_is_told_by_dtype_shape_and_zeros_and_ones(
    labels: list[Tensor], kind: str | None
) -> None:
    assert kind_of(labels) == kind


def test_losses_of_the_kinds_are_one_a_row() -> None:
    logits = torch.randn(3, 3)
    expected = functional.cross_entropy(logits, CLASSES, reduction="none")
    assert torch.equal(row_loss("classes")(logits, CLASSES), expected)
    two = torch.randn(3, 2)
    chance = two.sigmoid()
    expected = -(MULTI * chance.log() + (1 - MULTI) * (1 - chance).log()).mean(dim=1)
    assert torch.allclose(row_loss("binary")(two, MULTI), expected, atol=1e-6)
    expected = ((two - MULTI) ** 2).mean(dim=1)
    assert torch.allclose(row_loss("real")(two, MULTI), expected)


@pytest.mark.parametrize("kind", ["binary", "real"])
def test_one_output_a_row_may_be_a_column_or_not(kind: str) -> None:
    outputs, labels = torch.randn(3), MULTI[:, 0]
    expected = row_loss(kind)(outputs, labels)
    assert expected.shape == (3,)
    for one in (outputs, outputs[:, None]):
        for other in (labels, labels[:, None]):
            assert torch.equal(row_loss(kind)(one, other), expected)


def test_label_smoothing_is_torchs_and_for_classes_alone() -> None:
    logits = torch.randn(3, 3)
    smoothed = row_loss("classes", label_smoothing=0.1)(logits, CLASSES)
    expected = functional.cross_entropy(logits, CLASSES, reduction="none", label_smoothing=0.1)
    assert torch.equal(smoothed, expected)
    for kind, own in (("binary", None), ("real", None), ("classes", row_loss("classes"))):
        with pytest.raises(UserError, match="label_smoothing is for the cross-entropy of classes"):
            row_loss(kind, own, 0.1)


def test_a_tasks_own_loss_is_taken_as_it_is() -> None:
    def own(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs()

    assert row_loss("real", own) is own


def test_what_stands_beside_features() -> None:
    def beside(kind: str, labels: Tensor, source: Tensor) -> Tensor:
        made = KINDS[kind].beside
        assert made is not None
        return made(labels, source, 3)

    assert torch.equal(beside("classes", CLASSES, CLASSES), torch.eye(3).long()[CLASSES])
    assert torch.equal(beside("binary", MULTI[:, 0], MULTI[:, 0]), MULTI[:, :1])
    scaled = beside("real", 10 * REAL, REAL)
    assert torch.allclose(scaled[:, 0], 10 * REAL / REAL.std(correction=0))
