"""Training on nests of tensors, and towards targets of every kind."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import StreamedSplit
from adiw_tune.training import METHODS, TrainingRun, TrialConfig

HEAD = """
import torch
from torch import nn

REFERENCE_SIZE, SELECT_SIZE = 40, 40

def drawn(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

def train():
    return rows(240, 0)

def test():
    return rows(80, 1)
"""
# A sentence is of the class of most of its words; 0 pads.
WORDS = """
class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(10, 16), nn.Linear(16, 3)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    def forward(self, tokens, mask):
        read = self.layer(self.words(tokens), src_key_padding_mask=~mask)
        return self.last((read * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))

def model():
    return Words()

def sentences(n, seed):
    labels = drawn(seed, n).argsort() % 3
    lengths = 3 + drawn(seed + 1, n).argsort() % 5
    words = 1 + 3 * labels[:, None] + drawn(seed + 2, n, 7).argsort(1) % 3
    return torch.where(torch.arange(7) < lengths[:, None], words, 0), labels
"""
TEXT = (
    HEAD
    + WORDS
    + """
def rows(n, seed):
    tokens, labels = sentences(n, seed)
    return {"tokens": tokens, "mask": tokens > 0}, labels
"""
)
# The same sentences, each as long as it is.
STREAMED = (
    HEAD
    + WORDS
    + """
from torch.utils.data import Dataset

class Sentences(Dataset):
    def __init__(self, n, seed):
        self.tokens, self.labels = sentences(n, seed)
    def __len__(self):
        return len(self.labels)
    def __getitem__(self, item):
        tokens = self.tokens[item]
        return tokens[tokens > 0], ("ant", "bee", "cat")[self.labels[item]]
    def collate_fn(self, items):
        tokens = nn.utils.rnn.pad_sequence([tokens for tokens, _ in items], batch_first=True)
        return {"tokens": tokens, "mask": tokens > 0}, [name for _, name in items]

def rows(n, seed):
    return Sentences(n, seed)
"""
)
VALUES = (
    HEAD
    + """
def rows(n, seed):
    x = drawn(seed, n, 4)
    return x.double().numpy(), {targets}

def model():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, {k}))
"""
)
# A network may give [n, 1] where targets are [n]: never a loss of [n, n].
REAL = VALUES.format(targets="(2 * x[:, 0] - x[:, 1]).double().numpy()", k=1)
SEVERAL = VALUES.format(targets="x @ drawn(9, 4, 3)", k=3)
LABELS = VALUES.format(targets="(x @ drawn(9, 4, 3) > 0)", k=3)
ONE_LOGIT = VALUES.format(targets="(x[:, 0] > 0).float()", k=1)
OWN = (
    VALUES.format(targets="torch.stack([x, -x], 2)", k=8)
    + """
def loss(outputs, targets):
    assert targets.shape[1:] == (4, 2)
    return nn.functional.huber_loss(outputs.view(-1, 4, 2), targets, reduction="none").mean((1, 2))
"""
)
TASKS = {
    "text": TEXT,
    "streamed text": STREAMED,
    "real": REAL,
    "several real": SEVERAL,
    "labels": LABELS,
    "one logit": ONE_LOGIT,
    "own": OWN,
}


def run_of(folder: Path, code: str, **values: Any) -> TrainingRun:
    file = folder / "task.py"
    file.write_text(code)
    defaults = {"batch_size": 32, "reference_batch_size": 32, "epochs": 2, "learning_rate": 1e-2}
    return TrainingRun(TrialConfig.from_mapping({"task": str(file), **defaults, **values}))


def losses(run: TrainingRun) -> list[float]:
    return [run.run_epoch().loss for _ in range(run.config.epochs)]


@pytest.fixture(autouse=True)
def _reading_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADIW_WORKERS", "0")


@pytest.mark.parametrize("name", TASKS)
def test_training_learns(tmp_path: Path, name: str) -> None:
    first, *_, last = losses(run_of(tmp_path, TASKS[name], epochs=8))
    assert last < 0.7 * first


@pytest.mark.parametrize("representation", ["loss", "feature"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", TASKS)
def test_every_method_trains_on_it(
    tmp_path: Path, name: str, method: str, representation: str
) -> None:
    values = {"method": method, "representation": representation}
    if name == "own" and representation == "feature":
        with pytest.raises(UserError, match=r"which only loss\(\) can read: only representation"):
            run_of(tmp_path, TASKS[name], **values)
    elif name == "streamed text" and method == "diw-published":
        with pytest.raises(UserError, match="it needs them in memory"):
            run_of(tmp_path, TASKS[name], **values)
    else:
        assert all(map(math.isfinite, losses(run_of(tmp_path, TASKS[name], **values))))


@pytest.mark.parametrize("name", ["labels", "one logit", "text"])
def test_accuracy_is_the_share_of_labels_that_are_right(tmp_path: Path, name: str) -> None:
    run = run_of(tmp_path, TASKS[name], epochs=12)
    losses(run)
    with torch.no_grad():
        outputs = run.network.eval()(run.splits.test.inputs)
    labels = run.splits.test.labels
    right = (
        outputs.argmax(1) == labels if name == "text" else (outputs.view_as(labels) > 0) == labels
    )
    accuracy = run.metrics(run.splits.test)["accuracy"]
    assert accuracy == pytest.approx(float(right.float().mean()))
    assert accuracy > 0.8


def test_real_values_have_errors_and_no_accuracy(tmp_path: Path) -> None:
    run = run_of(tmp_path, REAL, epochs=3)
    losses(run)
    found = run.metrics(run.splits.test)
    assert found.keys() == {"rmse", "mae", "r2"}
    with torch.no_grad():
        outputs = run.network.eval()(run.splits.test.inputs)
    labels = run.splits.test.labels
    errors = outputs.view_as(labels) - labels
    assert found["rmse"] == pytest.approx(float(errors.square().mean().sqrt()), rel=1e-5)


def test_the_default_loss_written_out_gives_the_same_numbers(tmp_path: Path) -> None:
    written = "def loss(outputs, targets):\n    return (outputs[:, 0] - targets) ** 2"
    assert losses(run_of(tmp_path, REAL)) == losses(run_of(tmp_path, REAL + written))


def test_rows_that_are_padded_differently_are_trained_on_alike(tmp_path: Path) -> None:
    whole, streamed = (run_of(tmp_path, code) for code in (TEXT, STREAMED))
    assert streamed.splits.names == ("ant", "bee", "cat")
    assert losses(streamed) == pytest.approx(losses(whole), rel=1e-4)


def test_mini_batches_are_as_wide_as_their_longest_row_whoever_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for workers in ("0", "1"):
        monkeypatch.setenv("ADIW_WORKERS", workers)
        run = run_of(tmp_path, STREAMED, batch_size=4)
        assert isinstance(run.splits.train, StreamedSplit)
        widths = {
            int(rows.inputs["tokens"].shape[1])
            for rows in run.splits.train.batches(torch.arange(160).split(4))
        }
        assert len(widths) > 1
        found.append((widths, losses(run)))
    assert found[0] == found[1]


def test_measuring_a_step_changes_no_number(tmp_path: Path) -> None:
    expected = losses(run_of(tmp_path, STREAMED))
    run = run_of(tmp_path, STREAMED)
    assert run.calibrate().plain_s > 0
    assert losses(run) == expected


def test_augment_is_given_the_nest(tmp_path: Path) -> None:
    drops = (
        "def augment(inputs):\n    kept = torch.rand(inputs['mask'].shape) < 0.9\n"
        "    kept[:, 0] = True\n    return {**inputs, 'mask': inputs['mask'] & kept}"
    )
    plain, augmented = losses(run_of(tmp_path, TEXT)), losses(run_of(tmp_path, TEXT + drops))
    assert augmented != plain
    assert losses(run_of(tmp_path, TEXT + drops)) == augmented


BY_WORD = STREAMED.replace(
    "self.last((read * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))",
    "(self.last(read) * mask[..., None]).sum(1)",
)


def test_features_of_several_widths_are_refused(tmp_path: Path) -> None:
    assert all(map(math.isfinite, losses(run_of(tmp_path, BY_WORD))))
    told = r"features of 8 rows are \[8, 7, 16\]: only representation loss can be used"
    with pytest.raises(UserError, match=told):
        run_of(tmp_path, BY_WORD, representation="feature")
    with pytest.raises(UserError, match="the network's are of 64 and 112 numbers: give its last"):
        losses(run_of(tmp_path, BY_WORD, method="giw", reference_size=2))


@pytest.mark.parametrize(
    ("code", "shift", "message"),
    [
        (REAL, "symmetric:0.2", "shift symmetric is for targets that are classes or binary: these"),
        (REAL, "pair:0.2", "shift pair is for targets that are classes: these are real"),
        (LABELS, "pair:0.2", "shift pair is for targets that are classes: these are binary"),
        (LABELS, "class-prior:2", "shift class-prior is for targets that are classes: these are b"),
        (OWN, "class-prior:2", "shift class-prior is for targets that are classes: these are own"),
        (OWN, "none+pair:0.2", "unknown shift 'none'"),
    ],
)
def test_shifts_without_a_meaning_are_refused(
    tmp_path: Path, code: str, shift: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run_of(tmp_path, code, shift=shift)


def test_symmetric_noise_flips_labels_one_by_one(tmp_path: Path) -> None:
    clean, noisy = (run_of(tmp_path, LABELS, shift=shift) for shift in ("none", "symmetric:0.3"))
    flipped = clean.splits.train.labels != noisy.splits.train.labels
    assert flipped.shape == (160, 3)
    assert 0.2 < float(flipped.float().mean()) < 0.4
    assert 0 < int(flipped.all(dim=1).sum()) < int(flipped.any(dim=1).sum())
    assert torch.equal(clean.splits.select.labels, noisy.splits.select.labels)


def test_groups_are_thinned_whatever_the_targets(tmp_path: Path) -> None:
    grouped = REAL.replace(".numpy()\n", ".numpy(), torch.arange(n) % 2\n")
    assert grouped != REAL
    run = run_of(tmp_path, grouped, shift="group-prior:inf")
    assert run.splits.train.groups is not None
    assert set(run.splits.train.groups.tolist()) == {0}
