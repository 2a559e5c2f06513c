"""How much of a search MLflow has: `sent.json` in its record."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from adiw_tune.errors import UserError


@dataclass(frozen=True)
class Sent:
    """What MLflow has accepted. Without it all is sent again, which changes nothing.

    Args:
        offset: bytes of `events.jsonl`.
        parent_run_id: of the run that has them; another one needs every event.
        outcome: whether it has what the search came to, and all that was sent after that.
    """

    offset: int = 0
    parent_run_id: str | None = None
    outcome: bool = False

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what the file says; nothing if it says nothing that can be understood."""
        try:
            found = json.loads(path.read_bytes())
            parent = found["parent_run_id"]
            return cls(
                offset=max(0, int(found["offset"])),
                parent_run_id=None if parent is None else str(parent),
                outcome=found.get("outcome") is True,
            )
        except (OSError, ArithmeticError, ValueError, LookupError, RecursionError):
            return cls()
        except (AttributeError, TypeError):  # no object, or none of numbers
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file as a whole.

        Raises:
            UserError: it cannot be.
        """
        new = path.with_name(f"{path.name}.new")
        try:
            new.write_text(json.dumps(asdict(self)))
            os.replace(new, path)
        except OSError as error:
            raise UserError(f"cannot write '{path}': {error.strerror}") from error
