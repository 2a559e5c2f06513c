"""Fashion-MNIST's files: found, read, and refused when damaged."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Data, parse_shift
from adiw_tune.tasks.catalogue.fashion_mnist import load_fashion_mnist
from adiw_tune.tasks.rows import loaded

from ..real_data import installed_fashion_mnist

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"


def idx(values: Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + bytes(values.flatten().tolist())


def pixels(rows: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, 28, 28), generator=generator)


def write_tree(folder: Path) -> None:
    """30 rows to train on and 20 to test on."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in (
        (TRAIN_IMAGES, pixels(30, 0)),
        (TRAIN_LABELS, torch.arange(30) % 10),
        (TEST_IMAGES, pixels(20, 1)),
        (TEST_LABELS, torch.arange(20) % 10),
    ):
        (folder / name).write_bytes(gzip.compress(idx(values)))


def assert_tree(data: Data) -> None:
    train, test = loaded(data.rows), loaded(data.test)
    assert data.classes == 10
    assert train.inputs.dtype == torch.float32
    assert torch.equal(train.inputs, pixels(30, 0).unsqueeze(1).float() / 255)
    assert torch.equal(train.labels, torch.arange(30) % 10)
    assert torch.equal(test.inputs, pixels(20, 1).unsqueeze(1).float() / 255)
    assert torch.equal(test.labels, torch.arange(20) % 10)


@pytest.mark.parametrize("layout", [".", "fashion-mnist", "FashionMNIST/raw"])
def test_files_are_found_in_the_directory_given(tmp_path: Path, layout: str) -> None:
    write_tree(tmp_path / layout)
    assert_tree(load_fashion_mnist(tmp_path))


@pytest.mark.parametrize("layout", [".", "FashionMNIST/raw"])
def test_files_are_found_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    write_tree(tmp_path / layout)
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path))
    assert_tree(load_fashion_mnist(None))


def test_directory_given_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "here")
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path / "elsewhere"))
    assert_tree(load_fashion_mnist(tmp_path / "here"))


def test_directory_reaches_the_loader_through_the_task(tmp_path: Path) -> None:
    write_tree(tmp_path)
    splits = TASKS["fashion-mnist"].splits(
        shift=parse_shift("none"), seed=0, reference_size=5, select_size=5, data_dir=tmp_path
    )
    assert [len(s) for s in (splits.train, splits.reference, splits.select)] == [20, 5, 5]
    assert len(splits.test) == 20


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def not_gzip(path: Path) -> None:
    path.write_bytes(b"<html>404 Not Found</html>")


def flip_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 20] = b"x" * 20
    path.write_bytes(bytes(content))


def wrong_magic(path: Path) -> None:
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(b"\x01" + content[1:]))


def wrong_type(path: Path) -> None:
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:2] + b"\x0d" + content[3:]))


def short_data(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))


def long_data(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"\0"))


def header_only(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:6]))


def empty_inside(path: Path) -> None:
    path.write_bytes(gzip.compress(b""))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        not_gzip,
        flip_bytes,
        wrong_magic,
        wrong_type,
        short_data,
        long_data,
        header_only,
        empty_inside,
        empty,
        a_directory,
    ],
)
def test_damaged_file_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    write_tree(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}' is damaged") as caught:
        load_fashion_mnist(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [TRAIN_LABELS, TEST_IMAGES, TEST_LABELS])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}' is missing: all four"):
        load_fashion_mnist(tmp_path)


def test_directory_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no {TRAIN_IMAGES} in data directory '{tmp_path}'"):
        load_fashion_mnist(tmp_path)


def test_environment_without_the_files_leaves_those_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "installed")
    monkeypatch.setattr("adiw_tune.tasks.catalogue.fashion_mnist._DEBIAN", tmp_path / "installed")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path / "empty"))
    assert_tree(load_fashion_mnist(None))
    with pytest.raises(UserError, match=r"in data directory '.*/elsewhere'"):
        load_fashion_mnist(tmp_path / "elsewhere")


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_labels_of_another_number_than_images_are_refused(tmp_path: Path, split: str) -> None:
    write_tree(tmp_path)
    labels = tmp_path / f"{split}-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx(torch.zeros(7).long())))
    with pytest.raises(UserError, match=rf"'{tmp_path}' is damaged: its .* files hold .*\(7,\)"):
        load_fashion_mnist(tmp_path)


def test_images_in_the_place_of_labels_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / TRAIN_LABELS).write_bytes((tmp_path / TRAIN_IMAGES).read_bytes())
    with pytest.raises(UserError, match=f"'{tmp_path}' is damaged"):
        load_fashion_mnist(tmp_path)


def test_fashion_mnist_as_installed_has_the_rows_it_promises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed_fashion_mnist()
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    data = load_fashion_mnist(None)
    train, test = loaded(data.rows), loaded(data.test)
    assert train.inputs.shape == (60_000, 1, 28, 28)
    assert test.inputs.shape == (10_000, 1, 28, 28)
    assert torch.bincount(train.labels).tolist() == [6000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert (float(train.inputs.min()), float(train.inputs.max())) == (0.0, 1.0)
    assert float(train.inputs.mean()) == pytest.approx(0.286, abs=1e-3)
