"""CIFAR's files: found, decoded, and refused when they are not what they should be."""

import hashlib
import io
import pickle
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from torch import Tensor

from adiw_tune.errors import UserError
from adiw_tune.tasks import TASKS, Data, check_task, parse_shift
from adiw_tune.tasks.catalogue.cifar import load_cifar
from adiw_tune.tasks.rows import loaded
from adiw_tune.training import TrainingRun, TrialConfig

from ..real_data import real_data

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TRAIN, TEST = "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"


def pictures(rows: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)


def encoded(picture: np.ndarray[Any, np.dtype[np.uint8]], kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def write(path: Path, images: list[bytes], labels: list[int], **names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [{"bytes": image, "path": f"{i}.png"} for i, image in enumerate(images)]
    columns = {names.get("image", "img"): cells, names.get("label", "label"): labels}
    parquet.write_table(pa.table(columns), path)


def write_tree(folder: Path, **names: str) -> None:
    """30 rows to train on and 20 to test on."""
    for name, rows, seed in ((TRAIN, 30, 0), (TEST, 20, 1)):
        images = [encoded(picture) for picture in pictures(rows, seed)]
        write(folder / name, images, [i % 10 for i in range(rows)], **names)


def assert_tree(data: Data) -> None:
    for rows, n, seed in ((data.rows, 30, 0), (data.test, 20, 1)):
        split = loaded(rows)
        assert split.inputs.dtype == torch.uint8
        assert torch.equal(split.inputs, torch.from_numpy(pictures(n, seed)).permute(0, 3, 1, 2))
        assert torch.equal(split.labels, torch.arange(n) % 10)


@pytest.mark.parametrize("layout", [".", "cifar10"])
@pytest.mark.parametrize("image", ["img", "image"])
def test_parquet_is_found_in_the_directory_given(tmp_path: Path, layout: str, image: str) -> None:
    write_tree(tmp_path / layout, image=image)
    data = TASKS["cifar10"].load(tmp_path)
    assert data.classes == 10
    assert_tree(data)


def test_parquet_is_found_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(tmp_path / "cifar10")
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path))
    assert_tree(TASKS["cifar10"].load(None))


def test_cifar100_reads_the_fine_labels(tmp_path: Path) -> None:
    write_tree(tmp_path / "cifar100", label="fine_label")
    data = TASKS["cifar100"].load(tmp_path)
    assert data.classes == 100
    assert_tree(data)


def test_rows_in_several_files_are_put_together_in_order(tmp_path: Path) -> None:
    write_tree(tmp_path)
    images = [encoded(picture) for picture in pictures(30, 0)]
    (tmp_path / TRAIN).unlink()
    for i in range(3):
        labels = [j % 10 for j in range(10 * i, 10 * i + 10)]
        write(tmp_path / f"train-0000{i}-of-00003.parquet", images[10 * i : 10 * i + 10], labels)
    assert_tree(TASKS["cifar10"].load(tmp_path))


def test_jpeg_and_grey_images_become_bytes_of_three_colours(tmp_path: Path) -> None:
    write_tree(tmp_path)
    grey = np.full((32, 32), 100, dtype=np.uint8)
    write(tmp_path / TRAIN, [encoded(grey), encoded(grey, "JPEG")], [0, 1])
    inputs = loaded(load_cifar(10, tmp_path).rows).inputs
    assert inputs.shape == (2, 3, 32, 32)
    assert (inputs == 100).all()


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
@pytest.mark.parametrize("name", ["img", "image", "img.bytes", "image.bytes"])
def test_images_may_stand_in_a_column_of_bytes(
    tmp_path: Path, name: str, kind: pa.DataType
) -> None:
    for file, rows, seed in ((TRAIN, 30, 0), (TEST, 20, 1)):
        images = pa.array([encoded(picture) for picture in pictures(rows, seed)], kind)
        write_columns(tmp_path / file, **{name: images, "label": [i % 10 for i in range(rows)]})
    assert_tree(load_cifar(10, tmp_path))


def write_columns(path: Path, **columns: Any) -> None:
    parquet.write_table(pa.table(columns), path)


def images_of_null(path: Path) -> None:
    image = encoded(pictures(1, 0)[0])
    write_columns(path, img=[{"bytes": image, "path": "0.png"}, None], label=[0, 1])


def images_of_null_bytes(path: Path) -> None:
    column = pa.array([{"bytes": None, "path": "0.png"}], IMAGE)
    write_columns(path, img=column, label=[0])


def images_of_paths(path: Path) -> None:
    write_columns(path, img=[{"path": "0.png"}], label=[0])


def images_of_text(path: Path) -> None:
    write_columns(path, img=["0.png"], label=[0])


def images_of_structs_in_structs(path: Path) -> None:
    write_columns(path, img=[{"bytes": {"bytes": b"0"}}], label=[0])


def labels_of_null(path: Path) -> None:
    image = encoded(pictures(1, 0)[0])
    write_columns(path, img=[{"bytes": image}] * 2, label=[0, None])


def labels_of_text(path: Path) -> None:
    write_columns(path, img=[{"bytes": b""}], label=["cat"])


def labels_of_fractions(path: Path) -> None:
    write_columns(path, img=[{"bytes": b""}], label=[0.5])


def no_rows(path: Path) -> None:
    write_columns(path, img=pa.array([], IMAGE), label=pa.array([], pa.int64()))


def other_columns(path: Path) -> None:
    parquet.write_table(pa.table({"picture": [b""], "label": [0]}), path)


def not_parquet(path: Path) -> None:
    path.write_bytes(b"<html>404 Not Found</html>")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def wrong_label(path: Path) -> None:
    write(path, [encoded(pictures(1, 0)[0])], [10])


def large_image(path: Path) -> None:
    write(path, [encoded(pictures(1, 0)[0])] * 2 + [encoded(np.zeros((8, 9), np.uint8))], [0] * 3)


def broken_image(path: Path) -> None:
    good = encoded(pictures(1, 0)[0])
    write(path, [good, good[:200]], [0, 1])


def not_an_image(path: Path) -> None:
    write(path, [b"hello"], [0])


@pytest.mark.parametrize("name", [TRAIN, TEST])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_columns, "' has columns picture, label: CIFAR-10 needs img or image, and label"),
        (not_parquet, "' is damaged"),
        (truncated, "' is damaged"),
        (wrong_label, r"' has labels outside 0 .. 9: it is not CIFAR-10"),
        (large_image, "' is of 9 x 8 pixels: CIFAR's are of 32 x 32"),
        (broken_image, "' cannot be decoded"),
        (not_an_image, "' cannot be decoded"),
        (no_rows, "' has no rows"),
    ],
)
def test_file_that_is_not_cifar_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], message: str, name: str
) -> None:
    write_tree(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}{message}") as caught:
        load_cifar(10, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (images_of_null, "column img of '.*' is struct<.*>, some null: images are bytes, or str"),
        (images_of_null_bytes, "column img of '.*' is struct<.*>, some null: images are bytes"),
        (images_of_paths, "column img of '.*' is struct<path: string>: images are bytes, or st"),
        (images_of_text, "column img of '.*' is string: images are bytes, or structs of bytes"),
        (images_of_structs_in_structs, "column img of '.*' is struct<.*>: images are bytes, or"),
        (labels_of_null, "column label of '.*' is int64, some null: labels are whole numbers"),
        (labels_of_text, "column label of '.*' is string: labels are whole numbers"),
        (labels_of_fractions, "column label of '.*' is double: labels are whole numbers"),
    ],
)
def test_column_of_another_type_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    write_tree(tmp_path)
    damage(tmp_path / TEST)
    with pytest.raises(UserError, match=message) as caught:
        load_cifar(10, tmp_path)
    assert TEST in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cifar10_in_the_place_of_cifar100_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path)
    with pytest.raises(UserError, match="CIFAR-100 needs img or image, and fine_label"):
        load_cifar(100, tmp_path)


def test_missing_test_file_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path)
    (tmp_path / TEST).unlink()
    with pytest.raises(UserError, match=r"has no test-\*.parquet"):
        load_cifar(10, tmp_path)


def test_directory_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=rf"no train-\*.parquet or cifar-10-batches-py/ in data directory '{tmp_path}'",
    ):
        load_cifar(10, tmp_path)


def write_batches(root: Path) -> dict[str, list[list[str]]]:
    """torchvision's folder with few rows; the names and md5 sums of its files, as it lists them."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def put(name: str, content: object) -> list[str]:
        file = folder / name
        file.write_bytes(pickle.dumps(content))
        return [name, hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()]

    def batch(rows: range, seed: int, of: int) -> dict[str, Any]:
        flat = pictures(of, seed).transpose(0, 3, 1, 2).reshape(of, -1)
        return {"data": flat[rows.start : rows.stop], "labels": [i % 10 for i in rows]}

    names = [f"part{i % 10}" for i in range(10)]
    return {
        "train": [
            put(f"data_batch_{i + 1}", batch(range(6 * i, 6 * i + 6), 0, 30)) for i in range(5)
        ],
        "test": [put("test_batch", batch(range(20), 1, 20))],
        "meta": [put("batches.meta", {"label_names": names})],
    }


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that torchvision takes for CIFAR-10's own: it is told their md5 sums."""
    from torchvision.datasets import CIFAR10

    files = write_batches(tmp_path)
    monkeypatch.setattr(CIFAR10, "train_list", files["train"])
    monkeypatch.setattr(CIFAR10, "test_list", files["test"])
    meta = {"filename": files["meta"][0][0], "key": "label_names", "md5": files["meta"][0][1]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return tmp_path


def test_files_of_torchvision_are_read(batches: Path) -> None:
    assert_tree(load_cifar(10, batches))


def test_environment_without_the_files_leaves_those_downloaded(
    batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = batches / "home" / ".cache" / "adiw-tune"
    cache.mkdir(parents=True)
    (batches / "cifar-10-batches-py").rename(cache / "cifar-10-batches-py")
    monkeypatch.setenv("HOME", str(batches / "home"))
    (batches / "nowhere").mkdir()
    monkeypatch.setenv("ADIW_DATA_DIR", str(batches / "nowhere"))
    assert_tree(load_cifar(10, None))
    with pytest.raises(UserError, match=r"in data directory '.*/nowhere'"):
        load_cifar(10, batches / "nowhere")


def test_files_of_torchvision_with_other_content_are_not_unpickled(tmp_path: Path) -> None:
    write_batches(tmp_path)  # their md5 sums are not CIFAR-10's
    with pytest.raises(UserError, match="cifar-10-batches-py' is damaged or incomplete"):
        load_cifar(10, tmp_path)


def test_no_network_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADIW_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    # Made at the first request of a process, with that moment's proxies, and kept for all others.
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
        monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(
        UserError, match=r"CIFAR-10 is not here and could not be downloaded \(.*\): give --data-dir"
    ) as caught:
        load_cifar(10, None)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("ADIW_DATA_DIR", str(tmp_path))
    looked = rf"CIFAR-10 is not in \$ADIW_DATA_DIR \('{tmp_path}'\) and could not be downloaded"
    with pytest.raises(UserError, match=looked):
        load_cifar(10, None)


def brighter_is_higher(labels: Tensor, seed: int) -> list[bytes]:
    """Images that tell their label: noise on a brightness of 12 + 22 times the label."""
    noise = pictures(len(labels), seed) // 16
    return [encoded(noise[i] + np.uint8(12 + 22 * int(k))) for i, k in enumerate(labels)]


def test_resnet32_learns_what_is_in_the_images(tmp_path: Path) -> None:
    for seed, (name, rows) in enumerate(((TRAIN, 600), (TEST, 100))):
        labels = torch.arange(rows) % 10
        write(tmp_path / name, brighter_is_higher(labels, seed), labels.tolist())
    config = TrialConfig(
        task="cifar10",
        shift="none",
        method="erm",
        epochs=3,
        batch_size=32,
        learning_rate=3e-3,
        reference_size=50,
        select_size=50,
    )
    run = TrainingRun(config, data_dir=tmp_path)
    while not run.finished:
        run.run_epoch()
    # Measured on three seeds: 0.40 to 0.50; chance is 0.1.
    assert run.metrics(run.splits.test)["accuracy"] > 0.25


def test_cifar10_as_published_has_the_rows_it_promises() -> None:
    data = load_cifar(10, real_data("cifar10"))
    train, test = loaded(data.rows), loaded(data.test)
    assert train.inputs.shape == (50_000, 3, 32, 32)
    assert test.inputs.shape == (10_000, 3, 32, 32)
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    # The mean of each colour is well known.
    mean = train.inputs.double().mean(dim=(0, 2, 3)) / 255
    assert mean.tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)


def test_cifar10_as_published_passes_the_contract() -> None:
    assert check_task(TASKS["cifar10"], real_data("cifar10")) == []


def test_cifar10_is_shifted_like_any_other(tmp_path: Path) -> None:
    write_tree(tmp_path)
    splits = TASKS["cifar10"].splits(parse_shift("class-prior:3"), 0, 5, 5, tmp_path)
    assert len(splits.train) < 20
    assert splits.reference.inputs.dtype == torch.uint8
