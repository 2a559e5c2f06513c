"""What training leaves in files: checkpoints of runs, and trained networks."""

import io
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch

from adiw_tune.errors import in_one_line
from adiw_tune.output_file import OutputFile
from adiw_tune.tasks import Network
from adiw_tune.training.loop import TrainingRun

_LONGEST = 200  # of what torch says


class DamagedCheckpointError(ValueError):
    """A checkpoint that cannot be gone on from; the message says why, in one line."""


def load_checkpoint(run: TrainingRun, saved: bytes) -> None:
    """Go on from ``torch.save(run.state_dict())``, unpickling tensors and plain values only.

    Raises:
        DamagedCheckpointError: it is no such file, or of another configuration; ``run`` may have
            taken some of it, and is to be made anew.
    """
    try:
        _check_sums(saved)
        run.load_state_dict(torch.load(io.BytesIO(saved), "cpu", weights_only=True))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever unpickling raises, and a state of another network
        raise DamagedCheckpointError(in_one_line(error)[:_LONGEST]) from error
    if run.epoch not in range(run.config.epochs + 1):
        raise DamagedCheckpointError(f"it is of epoch {run.epoch} of {run.config.epochs}")


def _check_sums(saved: bytes) -> None:
    """Refuse a file some bytes of which have changed: torch writes checksums and reads none."""
    with ZipFile(io.BytesIO(saved)) as parts:
        if changed := parts.testzip():
            raise ValueError(f"checksum of '{changed}' differs")


def check_output(output: Path) -> None:
    """Refuse a place where no network can be saved, before hours of training.

    It is a new name, or the file of a network, which will be replaced. Whatever else is there,
    such as a database, a record, a device or what stdout goes to, would be lost.

    Raises:
        UserError: it is something else, or cannot be written.
    """
    OutputFile("--output", output).check(is_zipfile, "network")  # as torch.save writes them


def save_network(network: Network, output: Path) -> None:
    """Save the network's state_dict. The file is whole or not there, also when killed.

    Raises:
        UserError: it cannot be written, as where the disk is full.
    """
    OutputFile("--output", output).save(partial(_save, network.module.state_dict()))


def _save(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:  # of its own writer, as where the disk is full
        raise OSError(str(error)) from error
