"""Images in folders: read as asked for, trained on, refused by name when they are damaged."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, StreamedSplit, check_task, in_order, parse_shift
from adiw_tune.tasks.catalogue.image_folder import load_image_folder
from adiw_tune.tasks.rows import loaded
from adiw_tune.training import TrainingRun, TrialConfig

from .pictures import write_images, write_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_tree(tmp_path)
    return tmp_path


def test_rows_are_the_images_of_each_class_in_order(tree: Path) -> None:
    data = load_image_folder(tree)
    assert data.classes == 3
    assert data.trusted is None
    assert isinstance(data.rows, StreamedSplit)
    assert torch.equal(data.rows.labels, torch.arange(60) // 20)
    assert torch.equal(data.test.labels, torch.arange(15) // 5)
    (batch,) = data.rows.batches([torch.tensor([41, 0])])
    assert batch.inputs.shape == (2, 3, 224, 224)
    assert batch.inputs.dtype == torch.uint8
    assert batch.labels.tolist() == [2, 0]
    with Image.open(tree / "train" / "plum" / "001.jpg") as image:
        middle = functional.center_crop(functional.resize(image, 256), 224)
    assert torch.equal(batch.inputs[0], functional.pil_to_tensor(middle))


def test_labels_come_from_the_folders_without_an_image_being_opened(tree: Path) -> None:
    for file in tree.glob("*/*/*.jpg"):
        file.write_bytes(b"")
    assert torch.equal(load_image_folder(tree).rows.labels, torch.arange(60) // 20)


def test_test_goes_before_val(tree: Path) -> None:
    write_images(tree / "test", {"apple": 2, "plum": 1})  # no pears
    assert load_image_folder(tree).test.labels.tolist() == [0, 0, 2]


def test_images_to_trust_stand_apart(tree: Path) -> None:
    write_images(tree / "reference", {"apple": 4, "pear": 4, "plum": 4}, seed=2)
    splits = TASKS["image-folder"].splits(parse_shift("none"), 0, 5, 7, tree)
    assert [len(role) for role in (splits.train, splits.reference, splits.select)] == [60, 5, 7]
    assert splits.reference.inputs.shape == (5, 3, 224, 224)


def test_directory_comes_from_the_environment(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIW_DATA_DIR", str(tree))
    assert len(load_image_folder(None).rows) == 60


def run_of(tree: Path) -> TrainingRun:
    config = TrialConfig(
        task="image-folder",
        network="resnet18",
        shift="pair:0.3",
        epochs=2,
        batch_size=4,
        reference_batch_size=2,
        reference_size=4,
        select_size=3,
    )
    return TrainingRun(config, data_dir=tree)


def numbers(run: TrainingRun) -> list[float]:
    return [run.loss, *(float(x.double().sum()) for x in run.network.state_dict().values())]


def test_training_is_the_same_whoever_reads_and_wherever_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path, train=5, test=1)
    monkeypatch.setenv("ADIW_WORKERS", "0")
    alone = run_of(tmp_path)
    alone.run_epoch()
    once = numbers(alone)
    alone.run_epoch()
    monkeypatch.setenv("ADIW_WORKERS", "2")
    helped = run_of(tmp_path)
    helped.run_epoch()
    assert numbers(helped) == once
    state = helped.state_dict()  # before another run draws from the global generator
    resumed = run_of(tmp_path)
    resumed.load_state_dict(state)
    resumed.run_epoch()
    assert numbers(resumed) == numbers(alone)


def test_image_folder_passes_the_contract(tree: Path) -> None:
    assert check_task(replace(TASKS["image-folder"], reference_size=5, select_size=5), tree) == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_damaged_image_is_refused_by_name(
    tree: Path, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADIW_WORKERS", workers)
    damaged = tree / "train" / "pear" / "003.jpg"
    for content in (b"", b"no image", damaged.read_bytes()[:900]):
        damaged.write_bytes(content)
        with pytest.raises(UserError, match=f"image '{damaged}' cannot be read") as caught:
            list(in_order(load_image_folder(tree).rows))
        assert "\n" not in str(caught.value)


def test_image_too_large_to_open_is_refused_by_name(tree: Path) -> None:
    huge = tree / "train" / "pear" / "huge.png"
    Image.new("1", (20_000, 10_000)).save(huge)
    with pytest.raises(UserError, match=f"image '{huge}' cannot be read .*bomb") as caught:
        list(in_order(load_image_folder(tree).rows))
    assert "\n" not in str(caught.value)


def test_class_that_is_not_trained_is_refused_by_name(tree: Path) -> None:
    write_images(tree / "val", {"quince": 1})
    with pytest.raises(UserError, match="val/quince' is of a class that train/ does not have: "):
        load_image_folder(tree)


def test_class_without_images_is_refused_by_name(tree: Path) -> None:
    (tree / "train" / "quince").mkdir()
    (tree / "train" / "quince" / "notes.txt").write_text("none yet")
    with pytest.raises(UserError, match=r"train/quince' holds no images: \.jpg, "):
        load_image_folder(tree)


def test_hidden_folders_are_no_classes(tree: Path) -> None:
    (tree / "train" / ".ipynb_checkpoints").mkdir()
    assert load_image_folder(tree).classes == 3


@pytest.mark.parametrize("missing", ["train", "val"])
def test_missing_folder_is_told(tree: Path, missing: str) -> None:
    (tree / missing).rename(tree / "other")
    with pytest.raises(UserError, match=rf"'{tree}' needs a folder train/ and a folder test/ or"):
        load_image_folder(tree)


def test_empty_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "val").mkdir()
    with pytest.raises(UserError, match="train' needs a folder of images for each class"):
        load_image_folder(tmp_path)


def test_no_directory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    with pytest.raises(UserError, match="task image-folder reads your images: give --data-dir or"):
        load_image_folder(None)


def test_images_are_never_all_in_memory(tree: Path) -> None:
    rows = load_image_folder(tree).rows
    assert max(len(some) for some in in_order(rows)) * 3 * 224 * 224 <= 2**23
    assert len(loaded(rows)) == 60
