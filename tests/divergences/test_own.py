"""A user's own divergence, from a file."""

from pathlib import Path

import pytest
import torch

from adiw_tune.divergences import check_divergence, has_bandwidth, make_divergence
from adiw_tune.errors import UserError
from adiw_tune.weights import ImportanceWeighter

FILE = """
from dataclasses import dataclass
import torch

SOFT = 0.5

def nearness(source, target):
    away = torch.cdist(source.reshape(len(source), -1), target.reshape(len(target), -1))
    return torch.exp(-SOFT * away.clamp_max(100)).mean(dim=1)

@dataclass(frozen=True)
class Nearness:
    width: float = 1.0

    def prepare(self, source, target):
        ratio = nearness(source, target) / nearness(source, source)
        return NearnessObjective(ratio ** self.width)

@dataclass(frozen=True)
class NearnessObjective:
    ratio: torch.Tensor

    def at(self, w):
        away = w - self.ratio
        return away @ away / (2 * len(w)), away / len(w), w.new_ones(()) / len(w)

DIVERGENCE = Nearness()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(FILE)
    return path


def test_a_file_makes_a_divergence_that_keeps_the_contract(file: Path) -> None:
    divergence = make_divergence(str(file))
    assert check_divergence(divergence) == []
    assert not has_bandwidth(str(file))


def test_a_file_is_as_good_as_a_name_to_the_weighter(file: Path) -> None:
    w = ImportanceWeighter(4, str(file))(
        torch.tensor([0.1, 0.2, 5.0, 6.0]), torch.tensor([0.1, 0.3]), torch.arange(4)
    )
    assert w[:2].min() > 1 > w[2:].max()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "sets no DIVERGENCE: add DIVERGENCE = YourDivergence"),
        ("import no_such_thing\n", "does not run: ModuleNotFoundError: No module named"),
        ("def f(:\n", "does not run: SyntaxError"),
        ("DIVERGENCE = 3\n", "must be an object with a method prepare.*; got int"),
        ("class D:\n    def prepare(self, z, v): ...\nDIVERGENCE = D\n", "object.*; got type"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        make_divergence(str(file))
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"no divergence file 'nowhere\.py'"):
        make_divergence("nowhere.py")


def test_a_files_bandwidth_is_its_own(file: Path) -> None:
    with pytest.raises(UserError, match="sets its bandwidth itself"):
        make_divergence(str(file), 0.5)
