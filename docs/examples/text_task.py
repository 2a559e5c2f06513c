"""News titles in Yoruba and their topics, as rules gave them; a small transformer.

FOLDER holds the TSV files (title, label) of Hedderich et al., EMNLP 2020.
adiw-tune train --task text_task.py --data-dir FOLDER --epochs 20 --batch-size 64
"""

from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor, nn

REFERENCE_SIZE, SELECT_SIZE = 200, 100  # of the 300 titles that people labelled
WORDS, VOCABULARY, WIDTH = 24, 2**13, 64
Rows = tuple[dict[str, Tensor], list[str]]


def train(data_dir: Path) -> Rows:
    """Inputs, a dict of tensors [n, WORDS], and the names of the classes, [n]."""
    ruled = _lines(data_dir, "train-clean-noisy-labels")[300:]  # but for those of reference()
    return _encoded(ruled + _lines(data_dir, "train-noisy"))


def reference(data_dir: Path) -> Rows:
    """As train(), clean."""
    return _encoded(_lines(data_dir, "train-clean")[:300])


def test(data_dir: Path) -> Rows:
    """As train(), of rows that are read only to report."""
    return _encoded(_lines(data_dir, "test"))


def model() -> nn.Module:
    """A module that takes the dict's entries by name, and gives logits [n, classes]."""
    return _Transformer()


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 7)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        x = self.layer(self.words(tokens), src_key_padding_mask=~mask) * mask.unsqueeze(2)
        logits: Tensor = self.head(x.sum(dim=1) / mask.sum(dim=1, keepdim=True))
        return logits


def _lines(folder: Path, part: str) -> list[str]:
    return (folder / f"yoruba-{part}.tsv").read_text(encoding="utf-8").split("\n")[1:-1]


def _encoded(lines: list[str]) -> Rows:
    """Words as numbers, by a hash that needs no vocabulary; 0 fills up to WORDS."""
    tokens = torch.zeros(len(lines), WORDS, dtype=torch.int64)
    for row, line in zip(tokens, lines, strict=True):
        words = line.split("\t")[0].lower().split()[:WORDS]
        hashes = [1 + crc32(word.encode()) % (VOCABULARY - 1) for word in words]
        row[: len(words)] = torch.tensor(hashes)
    return {"tokens": tokens, "mask": tokens > 0}, [line.split("\t")[1] for line in lines]
