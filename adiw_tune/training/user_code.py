"""A user's own code inside training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adiw_tune.errors import UserError, lacks_memory
from adiw_tune.training.peers import is_broken_connection


@contextmanager
def in_user_code(tell: Callable[[Exception], str]) -> Iterator[None]:
    """Run a user's own code: what it raises becomes a UserError.

    Out-of-memory errors and broken connections to peers pass through, since a search handles them.

    Args:
        tell: gives the message for what was raised.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or lacks_memory(error) or is_broken_connection(error):
            raise
        raise UserError(tell(error)) from error
