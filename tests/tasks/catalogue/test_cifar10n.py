"""CIFAR-10N: people's labels, put in the order of the images whatever the files' own is."""

import re
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, parse_shift
from adiw_tune.tasks.catalogue.cifar10n import load_cifar10n
from adiw_tune.tasks.rows import loaded

from ..real_data import real_data
from .test_cifar import batches, encoded, pictures, write

__all__ = ["batches"]  # the fixture: torchvision's files, of images 0 to 29 with labels i % 10
CLEAN = torch.arange(30) % 10
WORST = (CLEAN + (torch.arange(30) % 3 == 0)) % 10
# Where the image i of the parquet file is in torchvision's.
ORIGINAL = torch.randperm(30, generator=torch.Generator().manual_seed(0))


def write_images(folder: Path) -> None:
    images = pictures(30, 0)
    shuffled = [encoded(images[i]) for i in ORIGINAL.tolist()]
    write(folder / "cifar10" / "train-0.parquet", shuffled, CLEAN[ORIGINAL].tolist())
    test = [encoded(image) for image in pictures(20, 1)]
    write(folder / "cifar10" / "test-0.parquet", test, [i % 10 for i in range(20)])


def write_labels(folder: Path, **others: Tensor) -> None:
    columns = {
        "original_index": ORIGINAL,
        "clean": CLEAN[ORIGINAL].to(torch.int8),
        "worst": WORST[ORIGINAL].to(torch.int8),
        **others,
    }
    folder.mkdir(exist_ok=True)
    arrays = {name: pa.array(column.numpy()) for name, column in columns.items()}
    parquet.write_table(pa.table(arrays), folder / "labels.parquet")


def write_published(folder: Path, content: object = None) -> Path:
    """As the authors' file is: a dictionary of arrays."""
    human = {
        "clean_label": CLEAN.numpy(),
        "worse_label": WORST.numpy(),
        "aggre_label": CLEAN.numpy(),
        **{f"random_label{i}": WORST.numpy() for i in (1, 2, 3)},
    }
    folder.mkdir(exist_ok=True)
    torch.save(content or human, folder / "CIFAR-10_human.pt")
    return folder / "CIFAR-10_human.pt"


def test_labels_beside_images_in_parquet(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_labels(tmp_path / "cifar10n")
    data = load_cifar10n(tmp_path)
    assert torch.equal(data.rows.labels, CLEAN[ORIGINAL])
    assert torch.equal(data.relabelled["worst"], WORST[ORIGINAL])


def test_labels_as_published_beside_torchvisions_images(batches: Path) -> None:
    write_published(batches)
    data = load_cifar10n(batches)
    assert torch.equal(data.rows.labels, CLEAN)
    assert list(data.relabelled) == ["worst", "aggregate", "random1", "random2", "random3"]
    assert torch.equal(data.relabelled["worst"], WORST)
    assert torch.equal(data.relabelled["aggregate"], CLEAN)


def test_labels_in_parquet_beside_torchvisions_images_are_put_in_their_order(
    batches: Path,
) -> None:
    write_labels(batches)
    assert torch.equal(load_cifar10n(batches).relabelled["worst"], WORST)


@pytest.mark.parametrize("core", [b"core", b"_core"])
def test_arrays_pickled_by_either_numpy_are_read(batches: Path, core: bytes) -> None:
    file = write_published(batches)
    with ZipFile(file) as zipped:
        parts = {name: zipped.read(name) for name in zipped.namelist()}
    with ZipFile(file, "w") as zipped:
        for name, part in parts.items():
            other, count = re.subn(rb"numpy\._?core\.", b"numpy." + core + b".", part)
            assert count == name.endswith("data.pkl")
            zipped.writestr(name, other)
    assert torch.equal(load_cifar10n(batches).relabelled["worst"], WORST)


def test_training_rows_have_the_worst_labels_by_default(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_labels(tmp_path / "cifar10n", aggregate=CLEAN[ORIGINAL])
    task = TASKS["cifar10n"]
    noisy = task.splits(parse_shift(task.default_shift), 0, 5, 5, tmp_path)
    clean = task.splits(parse_shift("none"), 0, 5, 5, tmp_path)
    assert 3 < int((noisy.train.labels != clean.train.labels).sum()) < 10
    assert torch.equal(noisy.select.labels, clean.select.labels)
    aggregate = task.splits(parse_shift("labels:#aggregate"), 0, 5, 5, tmp_path)
    assert torch.equal(aggregate.train.labels, clean.train.labels)
    with pytest.raises(UserError, match="no labels 'best' of its own: it has worst, aggregate"):
        task.splits(parse_shift("labels:#best"), 0, 5, 5, tmp_path)


class Evil:
    def __reduce__(self) -> object:
        return print, ("unpickled",)


def test_a_file_that_would_run_code_is_refused(
    batches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_published(batches, {"clean_label": Evil()})
    with pytest.raises(
        UserError, match=r"CIFAR-10_human.pt' is damaged or no file of CIF"
    ) as caught:
        load_cifar10n(batches)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_labels_in_another_order_than_the_images_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path)
    write_published(tmp_path / "cifar10n")
    with pytest.raises(UserError, match=r"CIFAR-10_human.pt' is not in the order of the images"):
        load_cifar10n(tmp_path)
    (tmp_path / "cifar10n" / "CIFAR-10_human.pt").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"CIFAR-10_human.pt' is damaged or no file of CIFAR-10N"):
        load_cifar10n(tmp_path)


def test_labels_that_are_not_there_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path)
    with pytest.raises(
        UserError, match=r"no CIFAR-10_human.pt or labels.parquet in data directory"
    ):
        load_cifar10n(tmp_path)
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path))
    with pytest.raises(
        UserError, match=r"CIFAR-10N is not in \$ADIW_DATA_DIR .*: fetch CIFAR-10_h"
    ):
        load_cifar10n(None)


def test_labels_as_published_are_as_wrong_as_they_are_said_to_be() -> None:
    data = load_cifar10n(real_data("cifar10n"))
    labels = loaded(data.rows).labels
    wrong = {
        name: float((human != labels).float().mean()) for name, human in data.relabelled.items()
    }
    assert wrong == pytest.approx({"worst": 0.402, "aggregate": 0.090}, abs=5e-4)
