"""Try again what a tracking server that is away for a while does not take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

from adiw_tune.errors import UserError
from adiw_tune.tracking.check import without_secrets
from adiw_tune.tracking.refusal import is_temporary, refusal

Result = TypeVar("Result")

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0


def until_accepted(action: Callable[[], Result], seconds: float) -> Result:
    """Return what `action` returns, calling it again after a pause while MLflow is away.

    Args:
        action: may be called many times; everything on `SearchRuns` may.
        seconds: no new attempt begins later than this; one attempt is always made.

    Raises:
        RefusedError: MLflow would refuse it again; no time is spent on that.
        UserError: the time is over; the message is the last error, without credentials.
    """
    from mlflow.exceptions import MlflowException

    one_quick_attempt_each()
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return action()
        except (MlflowException, OSError) as error:  # requests' errors are OSErrors
            if not is_temporary(error):
                raise refusal(error) from None
            left = deadline - time.monotonic()
            if left <= 0:
                raise UserError(f"MLflow does not accept it: {without_secrets(error)}") from None
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def one_quick_attempt_each() -> None:
    """Stop MLflow's own retrying, which takes minutes and cannot be interrupted."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
