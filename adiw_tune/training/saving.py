"""A trained network in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from adiw_tune.errors import UserError
from adiw_tune.tasks import Network


@contextmanager
def saved_at_the_end(network: Network, output: Path) -> Iterator[None]:
    """Save the network's state in ``output`` when the block ends without an error.

    Whether that works shows at the start, before hours of training. The file is whole or not
    there: it takes its name when it is complete.
    """
    if output.is_dir():
        raise UserError(f"--output '{output}' is a directory: name a file")
    part = output.with_name(output.name + ".part")
    try:
        part.touch()
    except OSError as error:
        raise UserError(f"cannot write --output '{output}': {error.strerror}") from error
    try:
        yield
        torch.save(network.own_state_dict(), part)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
