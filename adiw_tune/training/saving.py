"""What training leaves in files: checkpoints of runs, and trained networks."""

import io
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import torch

from adiw_tune.errors import UserError, in_one_line
from adiw_tune.tasks import Network
from adiw_tune.training.loop import TrainingRun

_LONGEST = 200  # of what torch says
_DESCRIPTORS = 256  # those that shells give are among the first


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
    try:
        found = output.stat()
        if stat.S_ISDIR(found.st_mode):
            raise UserError(f"--output '{output}' is a directory: name a file")
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"--output '{output}' is no regular file: name one, or a new one")
        if _is_open_here(found):  # to replace it would lose what is printed
            raise UserError(
                f"--output '{output}' is the file that this command prints to, or has open: name "
                "another one"
            )
        if found.st_size and not is_zipfile(output):  # as torch.save writes them
            raise UserError(f"--output '{output}' is there and holds no network: name another file")
        if not os.access(output, os.W_OK):
            raise UserError(f"cannot write --output '{output}': it is read-only")
    except FileNotFoundError:
        pass
    except OSError as error:  # such as too long a name, or a loop of links
        raise _refused(output, error) from error
    part = _part(output)
    try:
        part.touch(exist_ok=False)
        part.unlink()
    except OSError as error:
        raise _refused(output, error) from error


def _is_open_here(found: os.stat_result) -> bool:
    """Whether this process has the file open, as by ``> file`` in a shell, under any name."""
    for number in range(_DESCRIPTORS):
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), found):
                return True
    return False


def save_network(network: Network, output: Path) -> None:
    """Save the network's state_dict. The file is whole or not there, also when killed.

    Raises:
        UserError: it cannot be written, as where the disk is full.
    """
    part = _part(output)
    try:
        torch.save(network.module.state_dict(), part)
        part.replace(output.resolve())  # of a link what it leads to, and not the link
    except (OSError, RuntimeError) as error:  # the latter of torch's own writer
        raise _refused(output, error) from error
    finally:
        part.unlink(missing_ok=True)


def _part(output: Path) -> Path:
    """A new name beside the file, however long the file's own is."""
    return output.resolve().with_name(f".adiw-tune-{secrets.token_hex(8)}.part")


def _refused(output: Path, error: OSError | RuntimeError) -> UserError:
    why = getattr(error, "strerror", None) or str(error)
    return UserError(f"cannot write --output '{output}': {why}")
