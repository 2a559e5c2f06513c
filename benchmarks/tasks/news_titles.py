"""Titles of news in Yoruba with labels by rules, as hashed n-grams of characters; an MLP.

The data directory holds newsclass/, the TSV files (title, label) of Hedderich et al., "Transfer
learning and distant supervision for multilingual transformer models", EMNLP 2020. People labelled
1,340 titles and the rules all 2,844; 500 of people's labels are the clean rows.
"""

import unicodedata
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor, nn

REFERENCE_SIZE, SELECT_SIZE = 300, 200
CLEAN = REFERENCE_SIZE + SELECT_SIZE
LENGTHS = range(2, 6)  # of n-grams
BUCKETS = 2**12
CLASSES = 7
Rows = tuple[Tensor, Tensor]


def train(data_dir: Path) -> Rows:
    """Inputs [n, BUCKETS], and classes as the rules have them, [n]."""
    also_by_people = _lines(data_dir, "train-clean-noisy-labels")[CLEAN:]
    return _rows(data_dir, also_by_people + _lines(data_dir, "train-noisy"))


def reference(data_dir: Path) -> Rows:
    """As train(), classes as people have them."""
    return _rows(data_dir, _lines(data_dir, "train-clean")[:CLEAN])


def test(data_dir: Path) -> Rows:
    """As train(), of rows that are read only to report; classes as people have them."""
    return _rows(data_dir, _lines(data_dir, "test"))


def model() -> nn.Module:
    """Gives logits [n, CLASSES]."""
    hidden = [nn.Linear(BUCKETS, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(64, CLASSES))


def _right_labels(data_dir: Path) -> Tensor:
    """Of the rows of train(): what people say, -1 where they were not asked."""
    by_people = _classes(data_dir, _lines(data_dir, "train-clean")[CLEAN:])
    not_asked = torch.full((len(_lines(data_dir, "train-noisy")),), -1)
    return torch.cat([by_people, not_asked])


def _lines(data_dir: Path, part: str) -> list[list[str]]:
    text = (data_dir / "newsclass" / f"yoruba-{part}.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.split("\n")[1:-1]]


def _rows(data_dir: Path, lines: list[list[str]]) -> Rows:
    return torch.stack([_counted(line[0]) for line in lines]), _classes(data_dir, lines)


def _classes(data_dir: Path, lines: list[list[str]]) -> Tensor:
    names = sorted({line[1] for line in _lines(data_dir, "train-clean")})
    return torch.tensor([names.index(line[1]) for line in lines])


def _counted(title: str) -> Tensor:
    """log(1 + count) of each n-gram by the bucket of its hash, with a standard deviation of 1."""
    text = f" {unicodedata.normalize('NFC', title.lower())} "
    grams = [text[i : i + n] for n in LENGTHS for i in range(len(text) - n + 1)]
    buckets = torch.tensor([crc32(gram.encode()) % BUCKETS for gram in grams])
    counts = torch.bincount(buckets, minlength=BUCKETS).float().log1p()
    return counts * BUCKETS**0.5 / counts.norm()
